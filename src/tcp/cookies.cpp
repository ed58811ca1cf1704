#include "tcp/cookies.hpp"

#include <algorithm>
#include <array>

#include "tcp/acceptance.hpp"
#include "tcp/congestion/congestion.hpp"
#include "tcp/tuning.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

// What hosts really say: loopback-free Ethernet with and without tunnels, the minimum, jumbo frames.
constexpr std::array<std::uint16_t, 8> mss_table{64, 536, 1220, 1360, 1400, 1428, 1440, 8940};

constexpr std::uint32_t hash_bits = 28;
constexpr std::uint32_t hash_mask = (1U << hash_bits) - 1;
constexpr std::uint32_t no_window_scale = 31;

/// Not of the peer's ISN, which is added: so a segment from further on shows whom it may belong to, and ISNs of one pair of
/// endpoints grow as the peer's do.
std::uint32_t cookie_hash(const HashKey& key, const Endpoint& local, const Endpoint& remote, std::uint32_t head) {
    std::array<std::uint64_t, 6> words{};
    __builtin_memcpy(words.data(), local.address.octets.data(), 16);
    __builtin_memcpy(words.data() + 2, remote.address.octets.data(), 16);
    words[4] = std::uint64_t{local.port} << 16 | remote.port;
    words[5] = head;
    return static_cast<std::uint32_t>(hash24_words(key, words)) & hash_mask;
}

}  // namespace

std::uint32_t cookie_mss_index(std::uint16_t mss) {
    std::uint32_t index = 0;
    while (index + 1 < mss_table.size() && mss_table[index + 1] <= mss) ++index;
    return index;
}

std::uint16_t cookie_mss(std::uint32_t index) { return mss_table[index % mss_table.size()]; }

Seq make_cookie(const HashKey& key, std::uint32_t epoch, const Endpoint& local, const Endpoint& remote,
                Seq irs, std::uint32_t mss_index) {
    const std::uint32_t head = (epoch & 1) << 3 | mss_index;
    return Seq{head << hash_bits | ((cookie_hash(key, local, remote, head) + irs.raw) & hash_mask)};
}

std::uint32_t distance_behind_cookie(const HashKey& key, const Endpoint& local, const Endpoint& remote, Seq seq,
                                     Seq cookie) {
    const std::uint32_t irs = cookie.raw - cookie_hash(key, local, remote, cookie.raw >> hash_bits);
    return (seq.raw - irs) & hash_mask;
}

std::optional<std::uint32_t> check_cookie(const HashKey& key, std::uint32_t epoch, const Endpoint& local,
                                          const Endpoint& remote, Seq irs, Seq cookie) {
    const std::uint32_t mss_index = cookie.raw >> hash_bits & 7;
    if (make_cookie(key, epoch, local, remote, irs, mss_index) != cookie) return {};
    return mss_index;
}

HashKey next_cookie_key(const HashKey& key) {
    const std::array<std::uint64_t, 1> first{1};
    const std::array<std::uint64_t, 1> second{2};
    return {hash24_words(key, first), hash24_words(key, second)};
}

std::uint32_t cookie_timestamp(std::uint32_t now_ms, std::optional<std::uint8_t> window_scale) {
    const std::uint32_t low = window_scale ? std::min<std::uint32_t>(*window_scale, 14) : no_window_scale;
    constexpr std::uint32_t unit = 1U << cookie_timestamp_bits;
    std::uint32_t t = (now_ms & ~(unit - 1)) | low;
    if (is_older_timestamp(now_ms, t)) t -= unit;  // never ahead of the clock
    return t;
}

std::optional<std::uint8_t> window_scale_of(std::uint32_t cookie_timestamp) {
    const std::uint32_t low = cookie_timestamp & ((1U << cookie_timestamp_bits) - 1);
    if (low > 14) return {};
    return static_cast<std::uint8_t>(low);
}

void rotate_cookies(TcpContext& cx) {
    const Duration half = cx.w.config().tcp.syn_cookie_lifetime / 2;
    const StackState& now = cx.w.stack();
    if (cx.now - now.cookie_rotated < half) return;
    StackState& s = cx.w.edit_stack();
    // Two steps are as good as many: both secrets are new then.
    for (int i = 0; i < 2 && cx.now - s.cookie_rotated >= half; ++i) {
        s.cookie_keys[1] = s.cookie_keys[0];
        s.cookie_keys[0] = next_cookie_key(s.cookie_keys[0]);
        ++s.cookie_epoch;
        s.cookie_rotated = i == 0 && cx.now - s.cookie_rotated < half * 2 ? s.cookie_rotated + half : cx.now;
    }
}

bool send_cookie(TcpContext& cx, std::uint32_t listener, const Segment& s) {
    World& w = cx.w;
    rotate_cookies(cx);
    const StackState& stack = w.stack();
    const SocketState& parent = w.sockets.get(w.listeners.get(listener).socket);
    const wire::TcpOptions& offered = s.repr.options;
    // A cookie is a promise, and the secret behind it must outlive a crash: none before anything is durable.
    const bool is_anything_durable = w.statistics.get(0U).cuts_committed != 0 || w.cuts().flushed != 0 || stack.restarts != 0;
    if (holds_output(parent.options.policy) && !is_anything_durable) return false;
    const std::uint16_t mss = offered.mss ? *offered.mss : w.config().tcp.mss_default;
    ip::OutputRequest r;
    r.source = s.local.address;
    r.destination = s.remote.address;
    r.interface = s.remote.interface;
    r.next_header = wire::number(wire::NextHeader::tcp);
    r.hop_limit = parent.options.hop_limit;
    r.traffic_class = parent.options.traffic_class;
    r.flow_label =
        ip::flow_label(cx, s.local.address, s.remote.address, s.local.port, s.remote.port, r.next_header);
    r.checksum_offset = wire::tcp_checksum_offset;
    wire::TcpRepr h;
    h.src_port = s.local.port;
    h.dst_port = s.remote.port;
    h.seq = make_cookie(stack.cookie_keys[0], stack.cookie_epoch, s.local, s.remote, s.repr.seq,
                        cookie_mss_index(mss));
    h.ack = s.repr.seq + 1;
    h.flags.syn = true;
    h.flags.ack = true;
    h.window = static_cast<std::uint16_t>(std::min(parent.options.receive_buffer, 65535U));
    h.options.mss = advertised_mss(cx, s.remote, parent.options.max_segment);
    const TcpConfig& config = w.config().tcp;
    if (offered.timestamps && config.timestamps) {
        const std::uint32_t clock = timestamp_now(cx, timestamp_offset(w, s.local, s.remote));
        std::optional<std::uint8_t> carried;
        if (offered.window_scale && config.window_scaling) {
            h.options.window_scale = window_scale_for(tuning::buffer_limit(config, parent.options));
            carried = cookie_scale(*offered.window_scale, *h.options.window_scale);
        }
        h.options.timestamps = {cookie_timestamp(clock, carried), offered.timestamps->tsval};
    }
    r.header_length = static_cast<std::uint8_t>(wire::emit_tcp(h, r.header));
    if (ip::submit(cx, r) != ip::OutputResult::sent) return false;
    ++w.count().tcp_segments_sent;
    ++w.count().tcp_cookies_sent;
    w.listeners.edit(listener).cookies_until = cx.now + w.config().tcp.syn_cookie_lifetime;
    return true;
}

namespace {

std::optional<std::uint32_t> find_cookie(TcpContext& cx, const Segment& s, Seq irs) {
    rotate_cookies(cx);
    const StackState& stack = cx.w.stack();
    const Seq cookie = s.repr.ack - 1;
    // The secret after the current one: a stack that went back to a snapshot may have changed it already,
    // once.
    const HashKey next = next_cookie_key(stack.cookie_keys[0]);
    const std::uint32_t epoch = stack.cookie_epoch;
    if (const auto m = check_cookie(stack.cookie_keys[0], epoch, s.local, s.remote, irs, cookie)) return m;
    if (const auto m = check_cookie(stack.cookie_keys[1], epoch - 1, s.local, s.remote, irs, cookie))
        return m;
    return check_cookie(next, epoch + 1, s.local, s.remote, irs, cookie);
}

/// May it come from a peer whose connection a cookie made, and a rollback took away? Such a peer has had nothing
/// acknowledged but its SYN, and nothing sent but ours: its first segment, which brings the cookie, comes again by itself.
/// A reset would be the answer to a promise.
bool may_follow_cookie(const TcpContext& cx, const Segment& s) {
    const StackState& stack = cx.w.stack();
    for (const HashKey& key : {stack.cookie_keys[0], stack.cookie_keys[1], next_cookie_key(stack.cookie_keys[0])}) {
        // From a keep-alive, one before its first byte, to a FIN at the end of the SYN-ACK's window.
        if (distance_behind_cookie(key, s.local, s.remote, s.repr.seq, s.repr.ack - 1) <= 65536U + 1) return true;
    }
    return false;
}

/// Has the cookie that this ACK brings made a connection that has ended since?
bool is_cookie_spent(const TcpContext& cx, const Segment& s) {
    if (cx.tables.spent == 0) return false;
    const std::uint32_t i = cx.tables.pairs.find(cx.w.connections, s.local, s.remote);
    return i != PairTable::none && cx.w.connections.get(i).snd.iss + 1 == s.repr.ack;
}

/// The options that the SYN must have had.
wire::TcpOptions options_behind(const Segment& s, std::uint32_t mss_index) {
    wire::TcpOptions o;
    o.mss = cookie_mss(mss_index);
    o.timestamps = s.repr.options.timestamps;
    if (o.timestamps) o.window_scale = window_scale_of(o.timestamps->tsecr);
    return o;
}

}  // namespace

bool brings_cookie(TcpContext& cx, const Segment& segment, Seq irs) {
    return find_cookie(cx, segment, irs).has_value();
}

Deadline cookie_end(const TcpContext& cx) {
    const Duration lifetime = cx.w.config().tcp.syn_cookie_lifetime;
    return cx.now + lifetime + lifetime / 2;
}

void on_cookie_ack(TcpContext& cx, std::uint32_t listener, Segment& s) {
    World& w = cx.w;
    if (is_cookie_spent(cx, s)) return refuse(cx, s);
    Seq irs = s.repr.seq - 1;
    auto mss_index = find_cookie(cx, s, irs);
    // A keep-alive, or the probe of a window that was shut in a life which a rollback took away: one before the first byte.
    const bool is_probe = !mss_index && s.length() == 0;
    if (is_probe) mss_index = find_cookie(cx, s, irs = s.repr.seq);
    if (!mss_index) {
        if (!w.stack().ready || w.stack().silent_until != 0) return refuse(cx, s);
        w.drop(DropReason::tcp_bad_cookie);
        if (!may_follow_cookie(cx, s)) answer_with_reset(cx, s);
        return;
    }
    const TcpListenerState& l = w.listeners.get(listener);
    if (l.accept_count >= l.backlog) return w.drop(DropReason::tcp_listen_overflow);
    const std::uint32_t i = create_child(cx, listener, s, s.repr.ack - 1, irs);
    if (i == PairTable::none) return w.drop(DropReason::no_slot);
    TcpConnectionState& c = w.connections.edit(i);
    ++w.count().tcp_cookies_accepted;
    take_syn_options(cx, c, options_behind(s, *mss_index), true, true);
    // The SYN-ACK has been sent: both SYNs are promised, durable or not; the cookie is the record.
    c.snd.una = c.snd.nxt = c.snd.max = s.repr.ack;
    c.marks.snd_durable = c.snd.una;
    c.marks.rcv_durable = c.rcv.nxt;
    c.marks.buffer = std::min(c.rcv.buffer, 65535U);  // more than the SYN-ACK said is not promised before a commit
    c.rcv.acked = c.rcv.nxt;
    // As an ACK rounds it: one of an earlier life, whose record a rollback took away, may have.
    const Seq shown = c.rcv.nxt + std::min(c.rcv.buffer, 65535U);
    c.rcv.adv = choose_window({.ack = c.rcv.nxt, .adv = shown, .wanted = shown, .wscale = c.rcv.wscale}).adv;
    c.snd.wnd = std::uint32_t{s.repr.window} << c.snd.wscale;
    c.snd.wnd_max = c.snd.wnd;
    c.snd.wl1 = s.repr.seq;
    c.snd.wl2 = s.repr.ack;
    c.congestion =
        congestion::begin(c.congestion.algorithm, c.mss, w.config().tcp.initial_window_segments, cx.now);
    c.cookie_until = cookie_end(cx);
    c.phase = TcpPhase::established;
    const bool queued = queue_for_accept(cx, c);
    KEEPNET_ASSERT(queued);
    if (is_probe) c.ack_now = true;
    take_text(cx, c, s);
    settle(cx, c);
}

}  // namespace keepnet::tcp
