// The head of an HTTP/1.1 request as a value, parsed in one piece by Beast's parser. RFC 9110, RFC 9112.
#pragma once

#include <cstdint>
#include <string_view>

namespace http_server {

enum class Method : std::uint8_t { invalid = 0, get, head, put, post, other, unknown };

struct RequestHead {
    Method method = Method::invalid;
    std::string_view path;  ///< of the target, without query; views the bytes that were parsed
    bool keep_alive = false;
    bool has_host = false;
    bool is_http_1_1 = false;
    bool chunked = false;
    bool unknown_coding = false;  ///< a Transfer-Encoding other than "chunked" alone
    bool expect_continue = false;
    bool has_length = false;
    std::uint64_t length = 0;  ///< Content-Length
};

enum class HeadOutcome : std::uint8_t { invalid = 0, complete, need_more, malformed };

struct ParsedHead {
    HeadOutcome outcome = HeadOutcome::invalid;
    std::size_t bytes = 0;  ///< of the head, its empty line included, when complete
    RequestHead head{};
};

/// `text` begins with a request; what follows the head (a body, the next request) is left alone.
[[nodiscard]] ParsedHead parse_head(std::string_view text);

}  // namespace http_server
