// Text of addresses: RFC 5952 4 and 5 out, RFC 4291 2.2 in.
#include <algorithm>

#include <keepnet/address.hpp>

namespace keepnet {

using namespace std::string_view_literals;  // the length is known: no call of strlen

namespace {

constexpr std::string_view digits = "0123456789abcdef";

std::uint16_t word(const Ipv6Address& a, std::size_t i) {
    return static_cast<std::uint16_t>(a.octets[2 * i] << 8 | a.octets[2 * i + 1]);
}

/// The longest run of two or more zero words, the first of equals (RFC 5952 4.2.2, 4.2.3).
struct ZeroRun {
    std::size_t begin = 8;
    std::size_t length = 0;
};

ZeroRun longest_zero_run(const Ipv6Address& a) {
    ZeroRun best;
    for (std::size_t i = 0; i < 8;) {
        std::size_t end = i;
        while (end < 8 && word(a, end) == 0) ++end;
        if (end - i >= 2 && end - i > best.length) best = {i, end - i};
        i = end == i ? i + 1 : end;
    }
    return best;
}

/// Without leading zeros (4.1), in lower case (4.3).
char* put_word(char* out, unsigned w) {
    for (unsigned shift = 16; shift != 0;) {
        shift -= 4;
        if (w >> shift != 0 || shift == 0) *out++ = digits[w >> shift & 0xf];
    }
    return out;
}

char* put_decimal(char* out, unsigned n) {
    if (n >= 100) *out++ = digits[n / 100];
    if (n >= 10) *out++ = digits[n / 10 % 10];
    *out++ = digits[n % 10];
    return out;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// ::ffff:192.0.2.1, the one prefix known from the address alone to embed IPv4 (RFC 5952 5).
bool is_ipv4_mapped(const Ipv6Address& a) {
    return std::all_of(a.octets.begin(), a.octets.begin() + 10, [](std::uint8_t o) { return o == 0; }) &&
           a.octets[10] == 0xff && a.octets[11] == 0xff;
}

/// One to four hexadecimal digits off the front of `text`; -1 if there are none, or five.
int take_word(std::string_view& text) {
    int value = 0;
    std::size_t n = 0;
    while (n < text.size() && hex_value(text[n]) >= 0) {
        if (n == 4) return -1;
        value = value * 16 + hex_value(text[n++]);
    }
    text.remove_prefix(n);
    return n == 0 ? -1 : value;
}

/// Is there a dot before the next colon?
bool is_dotted(std::string_view text) {
    for (const char c : text) {
        if (c == '.' || c == ':') return c == '.';
    }
    return false;
}

/// All of `text` as four decimal numbers of 0..255; a leading zero is refused, since some read it as octal.
bool parse_dotted(std::string_view text, std::uint8_t* out) {
    for (int part = 0; part < 4; ++part) {
        if (part != 0) {
            if (text.empty() || text.front() != '.') return false;
            text.remove_prefix(1);
        }
        unsigned value = 0;
        std::size_t n = 0;
        while (n < text.size() && text[n] >= '0' && text[n] <= '9') {
            if (n == 3 || (n == 1 && text[0] == '0')) return false;
            value = value * 10 + static_cast<unsigned>(text[n++] - '0');
        }
        if (n == 0 || value > 255) return false;
        *out++ = static_cast<std::uint8_t>(value);
        text.remove_prefix(n);
    }
    return text.empty();
}

/// Groups of an address in the making: those before and behind the "::".
struct Groups {
    std::array<std::uint8_t, 16> bytes{};
    std::size_t filled = 0;
    std::size_t gap = 17;  // where the "::" stands; 17: nowhere

    [[nodiscard]] bool has_gap() const { return gap <= 16; }
};

bool take_groups(std::string_view text, Groups& g) {
    if (text.starts_with("::"sv)) {
        g.gap = 0;
        text.remove_prefix(2);
        if (text.empty()) return true;
    }
    for (;;) {
        if (is_dotted(text)) {
            if (g.filled > 12) return false;
            if (!parse_dotted(text, g.bytes.data() + g.filled)) return false;
            g.filled += 4;
            return true;
        }
        const int w = take_word(text);
        if (w < 0 || g.filled == 16) return false;
        g.bytes[g.filled++] = static_cast<std::uint8_t>(w >> 8);
        g.bytes[g.filled++] = static_cast<std::uint8_t>(w & 0xff);
        if (text.empty()) return true;
        if (text.front() != ':') return false;
        text.remove_prefix(1);
        if (text.starts_with(':')) {
            if (g.has_gap()) return false;
            g.gap = g.filled;
            text.remove_prefix(1);
            if (text.empty()) return true;
        }
    }
}

}  // namespace

std::string_view format(const Ipv6Address& address, std::span<char, ipv6_text_max> buffer) {
    char* out = buffer.data();
    const bool mapped = is_ipv4_mapped(address);
    const std::size_t words = mapped ? 6 : 8;
    const ZeroRun run = longest_zero_run(address);
    for (std::size_t i = 0; i < words;) {
        if (i == run.begin) {
            *out++ = ':';
            if (i == 0) *out++ = ':';
            i += run.length;
            continue;
        }
        out = put_word(out, word(address, i++));
        if (i < 8) *out++ = ':';
    }
    if (mapped) {
        for (std::size_t i = 12; i < 16; ++i) {
            if (i != 12) *out++ = '.';
            out = put_decimal(out, address.octets[i]);
        }
    }
    return {buffer.data(), static_cast<std::size_t>(out - buffer.data())};
}

std::string_view format(const MacAddress& address, std::span<char, mac_text_max> buffer) {
    for (std::size_t i = 0; i < 6; ++i) {
        buffer[3 * i] = digits[address.octets[i] >> 4];
        buffer[3 * i + 1] = digits[address.octets[i] & 0xf];
        if (i != 5) buffer[3 * i + 2] = ':';
    }
    return {buffer.data(), buffer.size()};
}

std::expected<Ipv6Address, Error> parse_ipv6(std::string_view text) {
    Groups g;
    if (!take_groups(text, g)) return std::unexpected(Error::invalid_argument);
    // RFC 4291 2.2: "::" stands for one or more groups; without it all eight must be there.
    if (g.has_gap() ? g.filled > 14 : g.filled != 16) return std::unexpected(Error::invalid_argument);
    Ipv6Address a;
    if (!g.has_gap()) {
        a.octets = g.bytes;
        return a;
    }
    const std::size_t behind = g.filled - g.gap;
    std::copy_n(g.bytes.begin(), g.gap, a.octets.begin());
    std::copy_n(g.bytes.data() + g.gap, behind, a.octets.data() + 16 - behind);
    return a;
}

std::expected<MacAddress, Error> parse_mac(std::string_view text) {
    if (text.size() != mac_text_max) return std::unexpected(Error::invalid_argument);
    const char separator = text[2];
    if (separator != ':' && separator != '-') return std::unexpected(Error::invalid_argument);
    MacAddress a;
    for (std::size_t i = 0; i < 6; ++i) {
        const int high = hex_value(text[3 * i]);
        const int low = hex_value(text[3 * i + 1]);
        if (high < 0 || low < 0) return std::unexpected(Error::invalid_argument);
        if (i != 5 && text[3 * i + 2] != separator) return std::unexpected(Error::invalid_argument);
        a.octets[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return a;
}

}  // namespace keepnet
