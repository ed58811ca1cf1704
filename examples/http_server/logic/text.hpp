// The texts that the server sends: response heads, the page, and events. Each can be written again from the
// connection's state, so a response goes on in its middle after a restart.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "connection.hpp"

namespace http_server {

extern const std::string_view page;
inline constexpr std::string_view interim_text = "HTTP/1.1 100 Continue\r\n\r\n";

using TextBuffer = std::array<char, 512>;

/// "404 Not Found"
[[nodiscard]] std::string_view status_line(std::uint16_t status);
/// The response's head. The result views `buffer`.
[[nodiscard]] std::string_view write_head(const ConnectionState& c, TextBuffer& buffer);
/// A body of kind text or digest. The result views `buffer`.
[[nodiscard]] std::string_view write_text(const ConnectionState& c, TextBuffer& buffer);
/// Bytes of a body whose length follows from its kind.
[[nodiscard]] std::uint64_t text_bytes(const ConnectionState& c);

}  // namespace http_server
