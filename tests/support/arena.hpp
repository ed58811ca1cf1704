// Memory for a stack in a test: zeros, page by page as they are touched.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <span>
#include <utility>

namespace keepnet::test {

class Arena {
  public:
    Arena() = default;
    explicit Arena(std::size_t bytes) : bytes_(bytes) {
        void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                         -1, 0);
        if (p == MAP_FAILED) std::abort();
        data_ = static_cast<std::byte*>(p);
    }
    Arena(Arena&& o) noexcept : data_(std::exchange(o.data_, nullptr)), bytes_(std::exchange(o.bytes_, 0)) {}
    Arena& operator=(Arena&& o) noexcept {
        std::swap(data_, o.data_);
        std::swap(bytes_, o.bytes_);
        return *this;
    }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena() {
        if (data_ != nullptr) ::munmap(data_, bytes_);
    }
    [[nodiscard]] std::span<std::byte> span() const { return {data_, bytes_}; }

  private:
    std::byte* data_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace keepnet::test
