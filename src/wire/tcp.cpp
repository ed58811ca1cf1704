#include "wire/tcp.hpp"

#include "wire/bytes.hpp"

namespace keepnet::wire {

namespace {

// Kinds and the lengths they must have, kind and length octets included.
constexpr std::uint8_t kind_end = 0;
constexpr std::uint8_t kind_nop = 1;
constexpr std::uint8_t kind_mss = 2;
constexpr std::uint8_t kind_window_scale = 3;
constexpr std::uint8_t kind_sack_permitted = 4;
constexpr std::uint8_t kind_sack = 5;
constexpr std::uint8_t kind_timestamps = 8;
constexpr std::uint8_t kind_user_timeout = 28;

constexpr std::size_t options_bytes_max = tcp_header_bytes_max - tcp_header_bytes;
constexpr std::uint32_t nop_nop_timestamps = 0x0101'080a;
constexpr std::uint32_t sack_permitted_timestamps = 0x0402'080a;

void parse_sack(ByteView option, TcpOptions& o) {
    if (option.size() < 10 || (option.size() - 2) % 8 != 0) return;
    const std::size_t blocks = (option.size() - 2) / 8;
    o.sack_count = 0;
    for (std::size_t i = 0; i < blocks && i < tcp_sack_blocks_max; ++i) {
        o.sack[o.sack_count++] = {Seq{load_u32(option, 2 + 8 * i)}, Seq{load_u32(option, 6 + 8 * i)}};
    }
}

/// One option, kind and length octets included; its length is not below 2.
void parse_option(ByteView option, TcpOptions& o) {
    switch (option[0]) {
        case kind_mss:
            if (option.size() == 4) o.mss = load_u16(option, 2);
            break;
        case kind_window_scale:
            if (option.size() == 3) o.window_scale = option[2];
            break;
        case kind_sack_permitted:
            if (option.size() == 2) o.sack_permitted = true;
            break;
        case kind_sack:
            parse_sack(option, o);
            break;
        case kind_timestamps:
            if (option.size() == 10) o.timestamps = {load_u32(option, 2), load_u32(option, 6)};
            break;
        case kind_user_timeout:
            if (option.size() == 4) o.user_timeout = load_u16(option, 2);
            break;
        default:
            break;  // RFC 9293 3.1: unknown ones are skipped
    }
}

/// False when an option's length is impossible: what follows cannot be found.
bool parse_options(ByteView options, TcpOptions& o) {
    for (std::size_t at = 0; at < options.size();) {
        const std::uint8_t kind = options[at];
        if (kind == kind_end) return true;
        if (kind == kind_nop) {
            ++at;
            continue;
        }
        const std::size_t left = options.size() - at;
        if (left < 2) return false;
        const std::size_t length = options[at + 1];
        if (length < 2 || length > left) return false;
        parse_option(options.subspan(at, length), o);
        at += length;
    }
    return true;
}

/// How many of the SACK blocks fit behind `used` bytes of other options.
std::size_t sack_blocks_that_fit(const TcpOptions& o, std::size_t used) {
    if (used + 4 > options_bytes_max) return 0;
    const std::size_t room = (options_bytes_max - used - 4) / 8;
    const std::size_t wanted = o.sack_count < tcp_sack_blocks_max ? o.sack_count : tcp_sack_blocks_max;
    return wanted < room ? wanted : room;
}

/// Where each option goes. Computed once for the length, once for the bytes, by the same code.
struct OptionsLayout {
    std::size_t sack_blocks = 0;
    bool user_timeout = false;
    std::size_t bytes = 0;
};

OptionsLayout lay_out(const TcpOptions& o) {
    OptionsLayout l;
    if (o.mss) l.bytes += 4;
    if (o.timestamps) {
        l.bytes += 12;
    } else if (o.sack_permitted) {
        l.bytes += 4;
    }
    if (o.window_scale) l.bytes += 4;
    l.sack_blocks = o.sack_count == 0 ? 0 : sack_blocks_that_fit(o, l.bytes);
    if (l.sack_blocks != 0) l.bytes += 4 + 8 * l.sack_blocks;
    l.user_timeout = o.user_timeout.has_value() && l.bytes + 4 <= options_bytes_max;
    if (l.user_timeout) l.bytes += 4;
    return l;
}

void emit_options(const TcpOptions& o, const OptionsLayout& l, MutableBytes out) {
    std::size_t at = 0;
    const auto word = [&](std::uint32_t w) {
        store_u32(out, at, w);
        at += 4;
    };
    if (o.mss) word(std::uint32_t{kind_mss} << 24 | 4U << 16 | *o.mss);
    if (o.timestamps) {
        word(o.sack_permitted ? sack_permitted_timestamps : nop_nop_timestamps);
        word(o.timestamps->tsval);
        word(o.timestamps->tsecr);
    } else if (o.sack_permitted) {
        word(0x0101'0000U | std::uint32_t{kind_sack_permitted} << 8 | 2U);
    }
    if (o.window_scale) {
        word(std::uint32_t{kind_nop} << 24 | std::uint32_t{kind_window_scale} << 16 | 3U << 8 |
             *o.window_scale);
    }
    if (l.sack_blocks != 0) {
        word(0x0101'0000U | std::uint32_t{kind_sack} << 8 |
             static_cast<std::uint32_t>(2 + 8 * l.sack_blocks));
        for (std::size_t i = 0; i < l.sack_blocks; ++i) {
            word(o.sack[i].left.raw);
            word(o.sack[i].right.raw);
        }
    }
    if (l.user_timeout) word(std::uint32_t{kind_user_timeout} << 24 | 4U << 16 | *o.user_timeout);
}

/// ParseError::invalid: nothing is wrong.
ParseError check_header(ByteView segment) {
    if (segment.size() < tcp_header_bytes) return ParseError::truncated;
    const std::size_t header_bytes = std::size_t{segment[12]} >> 4 << 2;
    if (header_bytes < tcp_header_bytes) return ParseError::bad_length;
    return header_bytes > segment.size() ? ParseError::truncated : ParseError::invalid;
}

void read_header(ByteView segment, TcpRepr& r) {
    r.src_port = load_u16(segment, 0);
    r.dst_port = load_u16(segment, 2);
    r.seq = Seq{load_u32(segment, 4)};
    r.ack = Seq{load_u32(segment, 8)};
    r.header_length = static_cast<std::uint8_t>(segment[12] >> 4 << 2);
    r.flags = TcpFlags::from_byte(segment[13]);
    r.window = load_u16(segment, 14);
    r.urgent = load_u16(segment, 18);
    const ByteView options = segment.subspan(tcp_header_bytes, r.header_length - tcp_header_bytes);
    if (options.size() == 12 && load_u32(options, 0) == nop_nop_timestamps) {
        // Nearly every segment of an established connection (RFC 7323 appendix A).
        r.options.timestamps = {load_u32(options, 4), load_u32(options, 8)};
    } else {
        r.options_malformed = !parse_options(options, r.options);
    }
}

}  // namespace

std::size_t TcpRepr::emitted_header_length() const { return tcp_header_bytes + lay_out(options).bytes; }

std::expected<TcpRepr, ParseError> parse_tcp(ByteView segment) {
    // One object, filled in place: this is once for every segment.
    std::expected<TcpRepr, ParseError> result(std::in_place);
    if (const ParseError error = check_header(segment); error != ParseError::invalid) {
        result = std::unexpected(error);
    } else {
        read_header(segment, *result);
    }
    return result;
}

std::size_t emit_tcp(const TcpRepr& repr, MutableBytes out) {
    const OptionsLayout layout = lay_out(repr.options);
    const std::size_t header_bytes = tcp_header_bytes + layout.bytes;
    if (out.size() < header_bytes) return 0;
    store_u16(out, 0, repr.src_port);
    store_u16(out, 2, repr.dst_port);
    store_u32(out, 4, repr.seq.raw);
    store_u32(out, 8, repr.ack.raw);
    out[12] = static_cast<std::uint8_t>(header_bytes / 4 << 4);
    out[13] = repr.flags.to_byte();
    store_u16(out, 14, repr.window);
    store_u16(out, tcp_checksum_offset, 0);
    store_u16(out, 18, repr.urgent);
    emit_options(repr.options, layout, out.subspan(tcp_header_bytes));
    return header_bytes;
}

}  // namespace keepnet::wire
