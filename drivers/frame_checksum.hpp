// For drivers whose device, or whose reader, wants the transport checksum complete although the stack left it
// to the device (TxFrame::needs_checksum). RFC 1071, in the plain form: nothing here is on a fast path.
#pragma once

#include <cstddef>
#include <cstdint>

#include <keepnet/bytes.hpp>

namespace keepnet::drivers {

/// The field at start + offset holds the sum of the pseudo-header; afterwards the checksum of
/// frame[start..end). Does nothing if the field is not inside the frame.
inline void complete_checksum(MutableBytes frame, std::size_t start, std::size_t offset) {
    const std::size_t field = start + offset;
    if (field + 2 > frame.size()) return;
    std::uint64_t sum = 0;
    for (std::size_t i = start; i < frame.size(); i += 2) {
        sum += static_cast<std::uint64_t>(frame[i]) << 8;
        if (i + 1 < frame.size()) sum += frame[i + 1];
    }
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    // RFC 768: 0 is how UDP says "none", 0xffff is its equal; TCP and ICMPv6 take either.
    const std::uint16_t value = sum == 0xffff ? std::uint16_t{0xffff} : static_cast<std::uint16_t>(~sum);
    frame[field] = static_cast<std::uint8_t>(value >> 8);
    frame[field + 1] = static_cast<std::uint8_t>(value);
}

}  // namespace keepnet::drivers
