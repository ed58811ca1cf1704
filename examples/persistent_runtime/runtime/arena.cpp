#include "arena.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include <sys/mman.h>

namespace persistent_runtime {
namespace {

constexpr std::size_t granule = 16;
constexpr std::size_t fine_max = 1024;
constexpr std::size_t fine_classes = fine_max / granule;
constexpr std::size_t first_block = (sizeof(ArenaHeader) + granule - 1) / granule * granule;

}  // namespace

std::size_t size_class(std::size_t bytes) {
    if (bytes <= fine_max) return (std::max<std::size_t>(bytes, 1) - 1) / granule;
    const auto doubling = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 1;  // 2^doubling < bytes
    const auto base = std::size_t{1} << doubling;
    const auto quarter = (bytes - 1 - base) / (base / 4);
    return fine_classes + (doubling - 10) * 4 + quarter;
}

std::size_t class_bytes(std::size_t size_class) {
    if (size_class < fine_classes) return (size_class + 1) * granule;
    const auto base = fine_max << (size_class - fine_classes) / 4;
    return base + ((size_class - fine_classes) % 4 + 1) * (base / 4);
}

std::expected<Arena, std::string> Arena::map() {
    void* const wanted = reinterpret_cast<void*>(arena_address);  // NOLINT: the address is the point
    void* at = ::mmap(wanted, arena_bytes_max, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (at != MAP_FAILED && at != wanted) {  // a kernel that does not know MAP_FIXED_NOREPLACE
        ::munmap(at, arena_bytes_max);
        at = MAP_FAILED;
        errno = EEXIST;
    }
    if (at == MAP_FAILED)
        return std::unexpected(std::string("memory at the fixed address: ") + std::strerror(errno));
    auto* header = static_cast<ArenaHeader*>(at);
    header->used = first_block;
    return Arena(header);
}

Arena::~Arena() {
    if (header_ != nullptr) ::munmap(header_, arena_bytes_max);
}

void* Arena::allocate(std::size_t bytes) {
    if (bytes > arena_bytes_max) return nullptr;
    const auto index = size_class(bytes);
    const auto size = class_bytes(index);
    void* block = header_->free_blocks[index];
    if (block != nullptr) {
        std::memcpy(&header_->free_blocks[index], block, sizeof block);
    } else {
        if (size > arena_bytes_max - header_->used) return nullptr;
        block = reinterpret_cast<std::byte*>(header_) + header_->used;
        header_->used += size;
    }
    header_->in_use += size;
    return block;
}

void Arena::release(void* block, std::size_t bytes) {
    if (block == nullptr) return;
    const auto index = size_class(bytes);
    std::memcpy(block, &header_->free_blocks[index], sizeof block);
    header_->free_blocks[index] = block;
    header_->in_use -= class_bytes(index);
}

void* Arena::resize(void* block, std::size_t old_bytes, std::size_t new_bytes) {
    if (block != nullptr && size_class(old_bytes) == size_class(new_bytes)) return block;
    void* moved = allocate(new_bytes);
    if (moved == nullptr) {
        if (block == nullptr || new_bytes > old_bytes) return nullptr;
        // It stays where it is, and its end is lost: release() will take it for a block of the smaller class.
        header_->in_use -= class_bytes(size_class(old_bytes)) - class_bytes(size_class(new_bytes));
        return block;
    }
    if (block != nullptr) std::memcpy(moved, block, std::min(old_bytes, new_bytes));
    release(block, old_bytes);
    return moved;
}

bool Arena::is_sane(std::size_t bytes) const {
    const auto inside = [&](const void* at) {
        const auto offset = reinterpret_cast<std::uintptr_t>(at) - arena_address;
        return offset >= first_block && offset < header_->used;
    };
    return bytes >= first_block && header_->used == bytes && header_->in_use <= bytes &&
           inside(header_->root) && std::ranges::all_of(header_->free_blocks, [&](const void* at) {
               return at == nullptr || inside(at);
           });
}

}  // namespace persistent_runtime
