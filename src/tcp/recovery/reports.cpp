#include "tcp/recovery/reports.hpp"

#include <algorithm>

namespace keepnet::tcp {

namespace {

using wire::SackBlock;

bool is_inside(const SackBlock& b, Seq seq) { return before_eq(b.left, seq) && before(seq, b.right); }

/// f(block) for each stretch without a gap that lies out of order, ascending; an early FIN belongs to it. At most
/// TcpConfig::out_of_order_segments steps.
template <class F>
void for_each_block(const World& w, const TcpConnectionState& c, F&& f) {
    SackBlock block{};
    bool fin_is_told = !c.rcv.fin_early;
    const auto give = [&] {
        if (block.left == block.right) return;
        if (!fin_is_told && block.right == c.rcv.fin_seq) {
            block.right += 1;
            fin_is_told = true;
        }
        f(block);
    };
    for (Link at = c.out_of_order.head; at;) {
        const SliceNodeState& node = w.slice_nodes.get(at.index());
        if (node.seq != block.right || block.left == block.right) {
            give();
            block = {node.seq, node.seq};
        }
        block.right = node.seq + node.slice.length;
        at = node.next;
    }
    give();
    if (!fin_is_told && after(c.rcv.fin_seq, c.rcv.nxt)) f({c.rcv.fin_seq, c.rcv.fin_seq + 1});
}

void add(wire::TcpOptions& o, std::size_t most, const SackBlock& block) {
    if (o.sack_count < most) o.sack[o.sack_count++] = block;
}

/// The blocks of `recent` in its order, then others, the lowest first.
void add_blocks(const World& w, const TcpConnectionState& c, std::size_t most, wire::TcpOptions& o) {
    std::array<SackBlock, wire::tcp_sack_blocks_max> grown{};
    std::array<SackBlock, wire::tcp_sack_blocks_max> others{};
    std::size_t other_count = 0;
    for_each_block(w, c, [&](const SackBlock& block) {
        bool is_grown = false;
        for (std::size_t i = 0; i < c.sack.recent_count && !is_grown; ++i) {
            is_grown = is_inside(block, c.sack.recent[i]);
            if (is_grown) grown[i] = block;
        }
        if (!is_grown && other_count < others.size()) others[other_count++] = block;
    });
    for (const SackBlock& block : grown) {
        if (block.left != block.right) add(o, most, block);
    }
    for (std::size_t i = 0; i < other_count; ++i) add(o, most, others[i]);
}

}  // namespace

void note_duplicate(TcpConnectionState& c, Seq left, Seq right) {
    if (!c.sack.permitted || !before(left, right)) return;
    c.sack.dsack_left = left;
    c.sack.dsack_right = right;
}

void note_block(const World& w, TcpConnectionState& c, Seq seq) {
    SackState& s = c.sack;
    if (!s.permitted) return;
    SackBlock grown{};
    for_each_block(w, c, [&](const SackBlock& block) {
        if (is_inside(block, seq)) grown = block;
    });
    if (grown.left == grown.right) return;
    std::array<Seq, 4> recent{seq};
    std::uint8_t count = 1;
    for (std::size_t i = 0; i < s.recent_count && count < recent.size(); ++i) {
        const bool is_gone = before(s.recent[i], c.rcv.nxt);
        if (!is_gone && !is_inside(grown, s.recent[i])) recent[count++] = s.recent[i];
    }
    s.recent = recent;
    s.recent_count = count;
}

void note_known(const World& w, TcpConnectionState& c, Seq from, Seq end) {
    if (!c.sack.permitted || c.out_of_order.nodes == 0) return;
    for_each_block(w, c, [&](const SackBlock& block) {
        note_duplicate(c, max_seq(block.left, from), min_seq(block.right, end));
    });
}

void fill_sack(const World& w, const TcpConnectionState& c, Seq ack, std::size_t room, wire::TcpOptions& options) {
    options.sack_count = 0;
    if (!c.sack.permitted || room < sack_option_bytes(1)) return;
    const std::size_t most = std::min<std::size_t>((room - 4) / 8, wire::tcp_sack_blocks_max);
    const bool is_current = ack == c.rcv.nxt;
    const bool has_duplicate = c.sack.dsack_left != c.sack.dsack_right;
    if (has_duplicate && (before_eq(c.sack.dsack_right, ack) || is_current)) {
        add(options, most, {c.sack.dsack_left, c.sack.dsack_right});
    }
    if (is_current && (c.out_of_order.nodes != 0 || c.rcv.fin_early)) add_blocks(w, c, most, options);
}

void on_sack_sent(TcpConnectionState& c, const wire::TcpOptions& options) {
    if (options.sack_count == 0) return;
    if (options.sack[0] == SackBlock{c.sack.dsack_left, c.sack.dsack_right}) c.sack.dsack_left = c.sack.dsack_right;
}

}  // namespace keepnet::tcp
