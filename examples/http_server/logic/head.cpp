#include "head.hpp"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace http_server {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

std::string_view view(beast::string_view s) { return {s.data(), s.size()}; }

// RFC 9112 3.2: origin-form is "/path?query"; a server must accept absolute-form too.
std::string_view path_of(std::string_view target) {
    if (const auto scheme = target.find("://"); scheme != target.npos && scheme < target.find('/')) {
        const auto slash = target.find('/', scheme + 3);
        target = slash == target.npos ? "/" : target.substr(slash);
    }
    return target.substr(0, target.find('?'));
}

Method method_of(http::verb verb) {
    switch (verb) {
        case http::verb::get:
            return Method::get;
        case http::verb::head:
            return Method::head;
        case http::verb::put:
            return Method::put;
        case http::verb::post:
            return Method::post;
        case http::verb::unknown:
            return Method::unknown;
        default:
            return Method::other;
    }
}

// Beast's parser writes what it finds straight into the value: nothing is allocated.
class HeadParser final : public http::basic_parser<true> {
  public:
    RequestHead head;

  private:
    void on_request_impl(http::verb verb, beast::string_view, beast::string_view target, int version,
                         beast::error_code&) override {
        head.method = method_of(verb);
        head.path = path_of(view(target));
        head.is_http_1_1 = version == 11;
    }
    void on_field_impl(http::field name, beast::string_view, beast::string_view value,
                       beast::error_code& ec) override {
        if (name == http::field::host) {
            if (head.has_host) ec = http::error::bad_field;  // RFC 9112 3.2: more than one is a 400
            head.has_host = true;
        } else if (name == http::field::expect) {
            head.expect_continue = beast::iequals(value, "100-continue");
        } else if (name == http::field::transfer_encoding) {
            // RFC 9112 6.1: a coding that is not understood is a 501; a second field is one more coding.
            if (head.chunked || !beast::iequals(value, "chunked")) head.unknown_coding = true;
            head.chunked = true;
        }
    }
    void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}
    void on_header_impl(beast::error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
    std::size_t on_body_impl(beast::string_view body, beast::error_code&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, beast::error_code&) override {
        return body.size();
    }
    void on_finish_impl(beast::error_code&) override {}
};

}  // namespace

ParsedHead parse_head(std::string_view text) {
    // RFC 9112 2.2: ignore an empty line before the request line.
    const std::size_t leading = text.starts_with("\r\n") ? 2 : 0;
    HeadParser parser;
    parser.body_limit(boost::none);
    beast::error_code ec;
    std::size_t bytes = leading;
    // Without eager() a call stops behind the start line only when the input ends there, so two calls see it
    // all.
    while (!ec && !parser.is_header_done() && bytes <= text.size()) {
        const auto n = parser.put(boost::asio::buffer(text.data() + bytes, text.size() - bytes), ec);
        bytes += n;
        if (n == 0 && !ec) ec = http::error::need_more;
    }
    if (ec == http::error::need_more) return {.outcome = HeadOutcome::need_more};
    if (ec) return {.outcome = HeadOutcome::malformed};
    auto head = parser.head;
    head.keep_alive = parser.keep_alive();
    if (const auto length = parser.content_length()) {
        head.has_length = true;
        head.length = *length;
    }
    if (head.is_http_1_1 && !head.has_host) return {.outcome = HeadOutcome::malformed};
    return {.outcome = HeadOutcome::complete, .bytes = bytes, .head = head};
}

}  // namespace http_server
