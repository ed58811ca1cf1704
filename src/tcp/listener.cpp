// Listeners: half-open children, the accept queue, and what happens when either is full. RFC 9293 3.10.7.2,
// RFC 4987.
#include <algorithm>

#include "ip/sharing.hpp"
#include "tcp/acceptance.hpp"
#include "tcp/ecn.hpp"
#include "tcp/queues.hpp"
#include "tcp/tuning.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

/// RFC 6191: a sequence number behind everything the old connection can have sent.
constexpr std::uint32_t reopen_distance = 65536;

bool may_keep_record(TcpContext& cx, const TcpListenerState& l) {
    const TcpConfig& config = cx.w.config().tcp;
    if (l.half_open >= config.listen_half_open || cx.w.connections.available() == 0) return false;
    return take_token(cx.w.edit_stack().half_open, config.half_open_per_second, config.half_open_per_second,
                      cx.now);
}

/// What is left of a listener that has no socket any more.
void drop_children(TcpContext& cx, std::uint32_t listener) {
    World& w = cx.w;
    const auto handle = w.listeners.handle_of(listener);
    for (std::uint32_t i = w.connections.next(0); i != BitTree::none; i = w.connections.next(i + 1)) {
        if (w.connections.get(i).listener != handle) continue;
        TcpConnectionState& c = w.connections.edit(i);
        if (c.phase == TcpPhase::syn_received) {
            end_connection(cx, c, Error::connection_aborted, Verdict::closed);
        } else {
            abort_connection(cx, c, Error::connection_aborted);
        }
        settle(cx, c);
    }
}

}  // namespace

std::uint32_t find_listener(const TcpContext& cx, const Endpoint& local, const Endpoint& remote) {
    const auto& listeners = cx.w.listeners;
    std::uint32_t best = PairTable::none;
    int best_rank = 0;
    for (std::uint32_t i = listeners.next(0); i != BitTree::none; i = listeners.next(i + 1)) {
        const TcpListenerState& l = listeners.get(i);
        if (l.local.port != local.port || (l.local.interface != 0 && l.local.interface != local.interface))
            continue;
        const bool any = l.local.address.is_unspecified();
        if (!any && l.local.address != local.address) continue;
        // A tombstone only answers for what no living listener does.
        const int rank = 1 + (l.local.interface != 0 ? 1 : 0) + (any ? 0 : 2) + (l.died_after != 0 ? 0 : 4);
        if (rank < best_rank) continue;
        // Each gets its peers: a repeated SYN, and a cookie that comes back, find the same one.
        if (rank == best_rank && ip::share_of(cx.w, i, remote) <= ip::share_of(cx.w, best, remote)) continue;
        best = i;
        best_rank = rank;
    }
    return best;
}

std::uint32_t create_child(TcpContext& cx, std::uint32_t listener, const Segment& s, Seq iss, Seq irs) {
    World& w = cx.w;
    const TcpListenerState& l = w.listeners.get(listener);
    const SocketState& parent = w.sockets.get(l.socket);
    Endpoint local = s.local;
    Endpoint remote = s.remote;
    // Only a link-local conversation is bound to its interface.
    if (!local.address.is_link_local()) local.interface = 0;
    if (!remote.address.is_link_local()) remote.interface = 0;
    const std::uint32_t i = create_connection(cx, local, remote, parent.options);
    if (i == PairTable::none) return i;
    TcpConnectionState& c = w.connections.edit(i);
    take_options(c, parent.options);
    c.is_passive = true;
    c.listener = w.listeners.handle_of(listener);
    c.rcv.buffer = receive_buffer_of(parent.options);
    c.rcv.wscale = window_scale_for(tuning::buffer_limit(w.config().tcp, parent.options));
    c.snd.iss = c.snd.una = c.snd.nxt = c.snd.max = c.snd.sml = iss;
    learn_irs(c, irs);
    c.ts.offset = timestamp_offset(w, c.local, c.remote);
    begin_marks(c);
    ++w.count().tcp_passive_opens;
    return i;
}

void on_listen_syn(TcpContext& cx, std::uint32_t listener, Segment& s, std::optional<Seq> old_max) {
    World& w = cx.w;
    const TcpListenerState& l = w.listeners.get(listener);
    const bool is_full = l.accept_count >= l.backlog || w.stack().suspend != SuspendPhase::running;
    if (!may_keep_record(cx, l)) {
        // A cookie is a promise to accept whoever brings it back.
        if (is_full || !send_cookie(cx, listener, s)) w.drop(DropReason::tcp_half_open_overflow);
        return;
    }
    if (is_full) return w.drop(DropReason::tcp_listen_overflow);
    Seq iss = initial_sequence(cx, s.local, s.remote);
    if (old_max && before(iss, *old_max + reopen_distance)) iss = *old_max + reopen_distance;
    const std::uint32_t i = create_child(cx, listener, s, iss, s.repr.seq);
    if (i == PairTable::none) return w.drop(DropReason::no_slot);
    TcpConnectionState& c = w.connections.edit(i);
    c.phase = TcpPhase::syn_received;
    // The peer may have got a cookie first, for the same SYN.
    if (expects_cookies(cx, listener)) c.cookie_until = cx.now;
    take_syn_options(cx, c, s.repr.options, true, true);
    ecn::take_syn(c.ecn, s.repr.flags, w.sockets.get(w.listeners.get(listener).socket).options.ecn);
    c.snd.wnd = s.repr.window;
    c.snd.wnd_max = c.snd.wnd;
    c.snd.wl1 = s.repr.seq;
    c.snd.wl2 = c.snd.iss;
    ++w.listeners.edit(listener).half_open;
    queue_syn_text(cx, c, s);
    settle(cx, c);
}

void on_listen(TcpContext& cx, std::uint32_t listener, Segment& s) {
    World& w = cx.w;
    const wire::TcpFlags& f = s.repr.flags;
    const TcpListenerState& l = w.listeners.get(listener);
    if (l.died_after != 0) return w.drop(DropReason::tcp_tombstone);
    if (f.rst) return w.drop(DropReason::tcp_reset_unmatched);
    if (f.ack) {
        return expects_cookies(cx, listener) && !f.syn ? on_cookie_ack(cx, listener, s) : refuse(cx, s);
    }
    if (!f.syn) return w.drop(DropReason::tcp_no_ack_flag);
    on_listen_syn(cx, listener, s, {});
}

bool queue_for_accept(TcpContext& cx, TcpConnectionState& c) {
    World& w = cx.w;
    const TcpListenerState& full = w.listeners.get(c.listener);
    if (full.accept_count >= full.backlog) return false;
    TcpListenerState& l = w.listeners.edit(c.listener);
    if (c.phase == TcpPhase::syn_received) --l.half_open;
    const Link link = Link::to(w.connections.index_of(c));
    if (l.accept_tail) {
        w.connections.edit(l.accept_tail.index()).accept_next = link;
    } else {
        l.accept_head = link;
    }
    l.accept_tail = link;
    ++l.accept_count;
    w.notify(l.socket);
    return true;
}

void leave_listener(TcpContext& cx, TcpConnectionState& c) {
    World& w = cx.w;
    TcpListenerState& l = w.listeners.edit(c.listener);
    c.listener = {};
    if (c.phase == TcpPhase::syn_received) {
        --l.half_open;
        return;
    }
    const Link link = Link::to(w.connections.index_of(c));
    Link before_it{};
    for (Link at = l.accept_head; at != link; at = w.connections.get(at.index()).accept_next) {
        KEEPNET_ASSERT(static_cast<bool>(at));
        before_it = at;
    }
    if (before_it) {
        w.connections.edit(before_it.index()).accept_next = c.accept_next;
    } else {
        l.accept_head = c.accept_next;
    }
    if (l.accept_tail == link) l.accept_tail = before_it;
    c.accept_next = {};
    --l.accept_count;
    w.notify(l.socket);
}

void close_listener(TcpContext& cx, std::uint32_t listener) {
    World& w = cx.w;
    const TcpListenerState& l = w.listeners.get(listener);
    const SocketState* s = w.sockets.find(l.socket);
    const bool held = s != nullptr && holds_output(s->options.policy);
    drop_children(cx, listener);
    if (!held) {
        --cx.tables.port_uses[l.local.port];
        w.listeners.destroy(listener);
        return;
    }
    TcpListenerState& dead = w.listeners.edit(listener);
    dead.socket = {};
    dead.died_after = w.cuts().current;
}

}  // namespace keepnet::tcp
