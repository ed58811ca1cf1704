#include "text.hpp"

#include <algorithm>
#include <cstdio>

namespace http_server {
namespace {

std::string_view content_type(Body body) {
    switch (body) {
        case Body::page:
            return "text/html; charset=utf-8";
        case Body::bytes:
            return "application/octet-stream";
        case Body::events:
            return "text/event-stream";
        case Body::invalid:
        case Body::text:
        case Body::digest:
        case Body::count_:
            break;
    }
    return "text/plain; charset=utf-8";
}

}  // namespace

std::string_view status_line(std::uint16_t status) {
    switch (status) {
        case 200:
            return "200 OK";
        case 400:
            return "400 Bad Request";
        case 404:
            return "404 Not Found";
        case 405:
            return "405 Method Not Allowed";
        case 411:
            return "411 Length Required";
        case 413:
            return "413 Content Too Large";
        case 417:
            return "417 Expectation Failed";
        case 431:
            return "431 Request Header Fields Too Large";
        case 501:
            return "501 Not Implemented";
        default:
            return {};
    }
}

std::string_view write_head(const ConnectionState& c, TextBuffer& buffer) {
    std::size_t used = 0;
    const auto append = [&](std::string_view text) {
        used += text.copy(buffer.data() + used, buffer.size() - used);
    };
    append("HTTP/1.1 ");
    append(status_line(c.status));
    append("\r\nServer: keepnet\r\nCache-Control: no-store\r\nContent-Type: ");
    append(content_type(c.body));
    if (c.body != Body::events) {  // that one ends with the connection (RFC 9112 6.3)
        std::array<char, 48> length;
        const int n = std::snprintf(length.data(), length.size(), "\r\nContent-Length: %llu",
                                    static_cast<unsigned long long>(c.response_bytes));
        append({length.data(), static_cast<std::size_t>(n)});
    }
    if (c.status == 405) append(c.allow_put ? "\r\nAllow: PUT, POST" : "\r\nAllow: GET, HEAD");
    append(c.keep_alive ? "\r\nConnection: keep-alive\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
    return {buffer.data(), used};
}

std::string_view write_text(const ConnectionState& c, TextBuffer& buffer) {
    std::size_t used = 0;
    if (c.body == Body::digest) {
        const auto digits = hex(finish(c.hash));
        used = static_cast<std::size_t>(std::copy(digits.begin(), digits.end(), buffer.begin()) -
                                        buffer.begin());
    } else {
        used = status_line(c.status).copy(buffer.data(), buffer.size() - 1);
    }
    buffer[used++] = '\n';
    return {buffer.data(), used};
}

std::uint64_t text_bytes(const ConnectionState& c) {
    if (c.body == Body::page) return page.size();
    return (c.body == Body::digest ? Sha256Text{}.size() : status_line(c.status).size()) + 1;
}

}  // namespace http_server
