// The Internet checksum, RFC 1071, with the IPv6 pseudo-header of RFC 8200 8.1.
// A Checksum is fed in pieces of any length, odd ones too; the result is that of the pieces laid end to end.
#pragma once

#include <cstdint>

#include <keepnet/address.hpp>
#include <keepnet/bytes.hpp>

namespace keepnet {

class Checksum {
  public:
    /// The next bytes of what is summed.
    void add(ByteView bytes);
    /// Two or four bytes in network order, given as a host number.
    void add_u16(std::uint16_t value);
    void add_u32(std::uint32_t value);
    /// What another Checksum has summed, as if its bytes came next here.
    void add(const Checksum& other);

    /// The one's complement sum of all bytes so far, as a host number. Over a datagram whose checksum field
    /// is right it is 0xffff.
    [[nodiscard]] std::uint16_t sum() const;
    /// The value for the checksum field, as a host number.
    [[nodiscard]] std::uint16_t fold() const { return static_cast<std::uint16_t>(~sum()); }

    friend Checksum pseudo_header(const Ipv6Address& src, const Ipv6Address& dst, std::uint32_t length,
                                  std::uint8_t next_header);

  private:
    void add_native(std::uint64_t words);  // already at an even position, in memory order

    std::uint64_t sum_ =
        0;              // one's complement, words in memory order: swapped once, at the end (RFC 1071 2 (B))
    bool odd_ = false;  // an odd number of bytes so far: the next one is the low half of its word
};

/// The pseudo-header of a transport datagram of `length` bytes (header and payload).
[[nodiscard]] Checksum pseudo_header(const Ipv6Address& src, const Ipv6Address& dst, std::uint32_t length,
                                     std::uint8_t next_header);

/// Is the checksum inside `datagram` (transport header and payload) right?
[[nodiscard]] bool transport_checksum_ok(const Ipv6Address& src, const Ipv6Address& dst,
                                         std::uint8_t next_header, ByteView datagram);

/// RFC 1624: the checksum field after a 16-bit word under it changed.
[[nodiscard]] std::uint16_t update_checksum(std::uint16_t field, std::uint16_t old_word,
                                            std::uint16_t new_word);

}  // namespace keepnet
