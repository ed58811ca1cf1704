// Puts entries one behind the other into a block of memory. What does not fit is not there at all, and full() says so.
#pragma once

#include <cstring>
#include <initializer_list>
#include <span>

#include "durability/journal_format.hpp"

namespace keepnet::durability {

class EntryWriter {
  public:
    EntryWriter() = default;
    explicit EntryWriter(MutableBytes block, std::size_t used = 0) : block_(block), used_(used) {}

    [[nodiscard]] std::size_t used() const { return used_; }
    [[nodiscard]] std::size_t room() const { return block_.size() - used_; }
    [[nodiscard]] bool full() const { return full_; }
    [[nodiscard]] MutableBytes written() const { return block_.first(used_); }
    /// Back to where used() was.
    void rewind(std::size_t used) {
        used_ = used;
        full_ = false;
    }

    /// `parts` one behind the other; their sum goes into the header.
    void append(EntryHeader header, std::initializer_list<ByteView> parts = {}) {
        begin(header);
        for (const ByteView part : parts) put(part.data(), part.size());
        end();
    }
    // In pieces: begin, put..., end.
    void begin(const EntryHeader& header) {
        open_ = header;
        open_.bytes = 0;
        open_at_ = used_;
        put_raw(nullptr, sizeof header);
    }
    void put(const void* bytes, std::size_t n) {
        open_.bytes += static_cast<std::uint32_t>(n);
        put_raw(bytes, n);
    }
    void end() {
        put_raw(nullptr, padded(open_.bytes) - open_.bytes);
        if (full_) {
            used_ = open_at_;
        } else {
            std::memcpy(block_.data() + open_at_, &open_, sizeof open_);
        }
    }

  private:
    void put_raw(const void* bytes, std::size_t n) {
        if (full_ || room() < n) {
            full_ = true;
        } else if (n != 0) {
            bytes != nullptr ? std::memcpy(block_.data() + used_, bytes, n) : std::memset(block_.data() + used_, 0, n);
            used_ += n;
        }
    }

    MutableBytes block_{};
    std::size_t used_ = 0;
    std::size_t open_at_ = 0;
    EntryHeader open_{};
    bool full_ = false;
};

/// The bytes of a trivially copyable value.
template <class T>
ByteView bytes_of(const T& value) {
    return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

}  // namespace keepnet::durability
