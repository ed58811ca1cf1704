// The file around the frames (docs/snapshot-format.md): what is looked at before any message is.
//
//     "keepnet\0"  u16 major  u16 minor  u32 0  |  frames: Cap'n Proto messages  |  "keepend\0"  u64 checksum
//
// Little-endian, everything a multiple of 8 bytes. The checksum covers all that stands before it.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include <capnp/common.h>
#include <kj/array.h>


namespace keepnet::checkpoint {

inline constexpr std::uint16_t format_major = 1;
inline constexpr std::uint16_t format_minor = 1;
inline constexpr std::size_t prelude_bytes = 16;
inline constexpr std::size_t ending_bytes = 16;
inline constexpr std::array<std::uint8_t, 8> prelude_magic{'k', 'e', 'e', 'p', 'n', 'e', 't', 0};
inline constexpr std::array<std::uint8_t, 8> ending_magic{'k', 'e', 'e', 'p', 'e', 'n', 'd', 0};

// What goes into one frame: a bound on a step of the encoder. The same for everyone, so that equal states give equal
// bytes.
inline constexpr std::size_t frame_objects_max = 64;
inline constexpr std::size_t frame_payload_bytes_max = 64U * 1024;
inline constexpr std::size_t list_part = 4096;
inline constexpr std::size_t blob_part_bytes = 128U * 1024;
inline constexpr std::size_t first_segment_words = 64U * 1024;

inline std::unexpected<Failure> refuse(Code code, std::string message) {
    return std::unexpected(Failure{code, std::move(message)});
}

/// A snapshot whose checksum is right, cut into its frames.
struct Envelope {
    std::uint16_t major = 0;
    std::uint16_t minor = 0;
    kj::Array<capnp::word> copy{};  ///< when the bytes given were not aligned
    std::vector<kj::ArrayPtr<const capnp::word>> frames{};
};
std::expected<Envelope, Failure> open_envelope(ByteView snapshot);
/// The first frame of a file that starts with these bytes (aligned to 8). Its checksum has not been looked at.
std::expected<kj::ArrayPtr<const capnp::word>, Failure> first_frame(ByteView start);

}  // namespace keepnet::checkpoint
