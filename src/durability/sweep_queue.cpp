#include "durability/sweep_queue.hpp"

#include <cstring>

namespace keepnet::durability {

// A record is a header and the object, never split: what is left at the ring's end is skipped. Positions only grow.
bool SweepQueue::push(const ImageHeader& header, std::span<const std::byte> bytes) {
    const std::size_t need = padded(sizeof(ImageHeader) + bytes.size());
    const std::uint64_t read = std::atomic_ref(control_->read).load(std::memory_order_acquire);
    std::uint64_t written = control_->written;
    const std::size_t to_end = size_ - (written & (size_ - 1));
    const std::size_t skip = to_end < need ? to_end : 0;
    if (size_ - (written - read) < need + skip) return false;
    if (skip >= sizeof(ImageHeader)) {
        const ImageHeader wrap{.flags = Image::wrap};
        std::memcpy(at(written), &wrap, sizeof wrap);
    }
    written += skip;
    ImageHeader h = header;
    h.size = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(at(written), &h, sizeof h);
    if (!bytes.empty()) std::memcpy(at(written) + sizeof h, bytes.data(), bytes.size());
    std::atomic_ref(control_->written).store(written + need, std::memory_order_release);
    return true;
}

std::optional<Image> SweepQueue::front() const {
    const std::uint64_t written = std::atomic_ref(control_->written).load(std::memory_order_acquire);
    std::uint64_t read = control_->read;
    if (read == written) return std::nullopt;
    Image image;
    const std::size_t to_end = size_ - (read & (size_ - 1));
    if (to_end >= sizeof(ImageHeader)) std::memcpy(&image.header, at(read), sizeof(ImageHeader));
    if (to_end < sizeof(ImageHeader) || (image.header.flags & Image::wrap) != 0) {
        read += to_end;
        std::memcpy(&image.header, at(read), sizeof(ImageHeader));
    }
    image.bytes = {at(read) + sizeof(ImageHeader), image.header.size};
    return image;
}

void SweepQueue::pop() {
    const std::optional<Image> image = front();
    if (!image) return;
    std::uint64_t read = control_->read;
    const std::size_t need = padded(sizeof(ImageHeader) + image->header.size);
    if (image->bytes.data() != at(read) + sizeof(ImageHeader)) read += size_ - (read & (size_ - 1));
    std::atomic_ref(control_->read).store(read + need, std::memory_order_release);
}

}  // namespace keepnet::durability
