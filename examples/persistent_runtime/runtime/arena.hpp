// The memory of everything that the interpreter knows, at an address that is the same in every process: a
// copy of its bytes is a copy of the interpreter, pointers included. The allocator's own state lies in it
// too, so that a restored arena goes on to give the same addresses as the one it was copied from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>

namespace persistent_runtime {

/// Far from where Linux puts programs, stacks and mappings, and from the sanitizers' shadows.
inline constexpr std::uintptr_t arena_address = 0x2000'0000'0000;
/// Address space; memory is taken page by page as it is used.
inline constexpr std::size_t arena_bytes_max = std::size_t{1} << 30;

/// Blocks come in sizes: every 16 bytes up to 1 KiB, then four in each doubling.
inline constexpr std::size_t size_classes = 64 + 4 * 20;
/// Of the smallest class that holds `bytes`, 1..arena_bytes_max.
std::size_t size_class(std::size_t bytes);
std::size_t class_bytes(std::size_t size_class);

/// At the start of the arena.
struct ArenaHeader {
    std::uint64_t used;    ///< bytes from the start that ever were in use: what has to be copied
    std::uint64_t in_use;  ///< bytes of blocks that are allocated
    void* root;            ///< what the owner finds everything else by
    std::array<void*, size_classes> free_blocks;  ///< of each class, the one freed last; each names the next
};

class Arena {
  public:
    /// Maps it, empty. Fails when something else lies at its address.
    static std::expected<Arena, std::string> map();
    Arena(Arena&& other) noexcept : header_(other.header_) { other.header_ = nullptr; }
    Arena& operator=(Arena&&) = delete;
    ~Arena();

    /// Aligned to 16 bytes; nullptr when there is no room.
    void* allocate(std::size_t bytes);
    /// `bytes`: as it was allocated.
    void release(void* block, std::size_t bytes);
    /// As lua_Alloc wants it: a block never fails to become smaller.
    void* resize(void* block, std::size_t old_bytes, std::size_t new_bytes);

    [[nodiscard]] void* root() const { return header_->root; }
    void set_root(void* root) { header_->root = root; }
    [[nodiscard]] std::size_t in_use() const { return header_->in_use; }
    /// What a copy has to hold.
    [[nodiscard]] std::span<const std::byte> used() const {
        return {reinterpret_cast<const std::byte*>(header_), header_->used};
    }
    /// The first `bytes` of the empty arena, to read a copy into.
    [[nodiscard]] std::span<std::byte> space(std::size_t bytes) {
        return {reinterpret_cast<std::byte*>(header_), bytes};
    }
    /// Is what was read into space() an arena of that many bytes? One that is not must not be used.
    [[nodiscard]] bool is_sane(std::size_t bytes) const;

  private:
    explicit Arena(ArenaHeader* header) : header_(header) {}
    ArenaHeader* header_;
};

}  // namespace persistent_runtime
