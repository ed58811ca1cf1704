// Why bytes are not what they should be. A caller turns it into its own DropReason.
#pragma once

#include <cstdint>
#include <string_view>

namespace keepnet::wire {

enum class ParseError : std::uint8_t {
    invalid = 0,
    truncated,     ///< fewer bytes than the header, or than its own length field says
    bad_version,   ///< not IP version 6
    bad_length,    ///< a length field below its header, or that contradicts another
    bad_checksum,  ///< a checksum that must be there is zero
    bad_option,    ///< an option of length zero, or one that runs past the end
    bad_type,      ///< another message than the one asked for
    bad_code,      ///< a code that must be zero is not
    bad_address,   ///< an address that this message must not carry
};

/// "bad_option", for logs and tests.
[[nodiscard]] std::string_view name(ParseError error);

}  // namespace keepnet::wire
