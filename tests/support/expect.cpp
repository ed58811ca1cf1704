// Fixture: what the script wants to come, and what it says when something else does.
#include "base/seq.hpp"
#include "support/fixture.hpp"

namespace keepnet::test {

namespace {

template <class T>
void compare(std::string& out, const char* what, const std::optional<T>& want, std::uint64_t have) {
    if (!want || *want == have) return;
    out += std::string(out.empty() ? "" : ", ") + what + " is " + std::to_string(have);
}

}  // namespace

std::string Fixture::mismatch(const Segment& s, const Packet& p, const Flow& f) const {
    if (!p.tcp) return "not TCP";
    const TcpFields& t = *p.tcp;
    std::string out;
    if (t.dst_port != f.peer_port || t.src_port != f.stack_port) out = "another connection";
    const auto flags = static_cast<std::uint8_t>(s.psh_matters ? t.flags : t.flags & ~flag::psh);
    if (s.flags_value && *s.flags_value != flags) out += " flags are " + flags_text(t.flags);
    compare(out, "seq", s.seq_value, t.seq - f.stack_iss.value_or(0));
    compare(out, "ack", s.ack_value, t.ack - f.iss);
    compare(out, "window", s.window_value, t.window);
    compare(out, "length", s.length_value, t.payload.size());
    if (s.mss_value && s.mss_value != t.mss) out += " MSS option";
    if (s.wscale_value && s.wscale_value != t.wscale) out += " window scale option";
    if (s.ts_value && s.ts_value != t.ts) out += " timestamps";
    if (s.without_ts && t.ts) out += " has timestamps";
    if (s.sack_permitted && !t.sack_permitted) out += " no SACK permitted";
    if (s.sack_matters) {
        std::vector<std::pair<std::uint32_t, std::uint32_t>> have;
        for (const auto& [left, right] : t.sack) have.emplace_back(left - f.iss, right - f.iss);
        if (have != s.sack_value) {
            out += " SACK is";
            for (const auto& [left, right] : have) {
                out.append(1, ' ').append(std::to_string(left)).append(1, '-').append(std::to_string(right));
            }
        }
    }
    if (s.payload_value && *s.payload_value != t.payload) out += " payload";
    for (const Segment::Check& check : s.checks) {
        if (!check.holds(t, f)) out += " does not hold: " + check.what;
    }
    return out;
}

void Fixture::note_received(const Packet& p) {
    if (!p.tcp) return;
    Flow* f = flow_of(p.tcp->dst_port, p.tcp->src_port);
    if (f == nullptr || !f->stack_iss || (p.tcp->flags & flag::rst) != 0) return;
    const std::uint32_t seq = p.tcp->seq - *f->stack_iss;
    const std::uint32_t end = seq + p.tcp_length();
    if (before_eq(Seq{seq}, Seq{f->rcv_nxt}) && before(Seq{f->rcv_nxt}, Seq{end})) f->rcv_nxt = end;
    if (p.tcp->ts) f->ts_recent = p.tcp->ts->first;
}

std::optional<Packet> Fixture::take() {
    if (sent_.empty()) return std::nullopt;
    Packet p = std::move(sent_.front().packet);
    taken_at_ = sent_.front().when;
    sent_.pop_front();
    note_received(p);
    return p;
}

Packet Fixture::expect_packet() {
    auto p = take();
    if (!p) FAIL("expected a packet, nothing was sent\n" << diary());
    if (taken_at_ != now_)
        FAIL("expected a packet now; it was sent earlier: " << p->text() << "\n" << diary());
    return *std::move(p);
}

Fixture& Fixture::expect(const Segment& s) {
    const auto p = take();
    if (!p) FAIL("expected " << s.text() << ", nothing was sent\n" << diary());
    if (taken_at_ != now_)
        FAIL("expected " << s.text() << " now, but earlier came " << p->text() << "\n" << diary());
    const std::string problem = mismatch(s, *p, flow());
    if (!problem.empty())
        FAIL("expected " << s.text() << ", but " << problem << ": " << p->text() << "\n" << diary());
    CHECK(problem.empty());
    return *this;
}

std::optional<Packet> Fixture::wait(Duration until) {
    const Instant limit = mark_ + until;
    while (sent_.empty()) {
        const Instant next = stack_->next_deadline();
        if (next > limit) {
            run_to(limit);
            break;
        }
        run_to(later(now_, next));
    }
    return take();
}

Fixture& Fixture::expect_between(Duration from, Duration to, const Segment& s) {
    auto p = wait(to);
    if (!p) FAIL("expected " << s.text() << " until " << to.us() << " us, nothing was sent\n" << diary());
    const std::string problem = mismatch(s, *p, flow());
    if (!problem.empty())
        FAIL("expected " << s.text() << ", but " << problem << ": " << p->text() << "\n" << diary());
    if (taken_at_ < mark_ + from) FAIL("too early: " << p->text() << "\n" << diary());
    CHECK(problem.empty());
    return *this;
}

Fixture& Fixture::expect_silence() {
    if (!sent_.empty()) FAIL("expected silence: " << sent_.front().packet.text() << "\n" << diary());
    CHECK(sent_.empty());
    return *this;
}

Fixture& Fixture::expect_silence_until(Duration since_mark) {
    return expect_silence().at(since_mark).expect_silence();
}

Fixture& Fixture::expect(TcpPhase phase) {
    const TcpConnectionState* c = connection();
    const TcpPhase have = c == nullptr ? TcpPhase::closed : c->phase;
    if (have != phase)
        FAIL("phase is " << keepnet::name(have) << ", not " << keepnet::name(phase) << "\n" << diary());
    CHECK(have == phase);
    return *this;
}

Fixture& Fixture::expect_dropped(DropReason reason, std::uint64_t times) {
    INFO(diary());
    const auto i = static_cast<std::size_t>(reason);
    CHECK(drops(reason) - drops_seen_[i] == times);
    drops_seen_[i] = drops(reason);
    return *this;
}

Packet Fixture::expect_icmp(std::uint8_t type, std::uint8_t code) {
    Packet p = expect_packet();
    if (!p.icmp || p.icmp->type != type || p.icmp->code != code) {
        FAIL("expected ICMPv6 " << unsigned{type} << "/" << unsigned{code} << ": " << p.text() << "\n"
                                << diary());
    }
    return p;
}

Fixture& Fixture::ignore_output() {
    while (take()) {
    }
    return *this;
}

std::vector<Packet> Fixture::take_nd() { return std::exchange(nd_, {}); }

const TcpConnectionState* Fixture::connection() {
    const TcpConnectionState* found = nullptr;
    world().connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        if (!c.tombstone && c.local.port == flow().stack_port && c.remote.port == flow().peer_port)
            found = &c;
    });
    return found;
}

/// TCP in relative numbers, everything else as it is.
void Fixture::write_down(const char* way_of_it, const Packet& p) {
    std::string line = way_of_it + std::to_string((now_ - mark_).us()) + " us ";
    const bool is_sent = *way_of_it == '<';
    const Flow* f = !p.tcp    ? nullptr
                    : is_sent ? flow_of(p.tcp->dst_port, p.tcp->src_port)
                              : flow_of(p.tcp->src_port, p.tcp->dst_port);
    if (f == nullptr) {
        diary_.push_back(line + p.text());
        return;
    }
    const TcpFields& t = *p.tcp;
    const std::uint32_t ours = f->stack_iss.value_or(is_sent && (t.flags & flag::syn) != 0 ? t.seq : 0);
    line += flags_text(t.flags) + " seq=" + std::to_string(t.seq - (is_sent ? ours : f->iss));
    if ((t.flags & flag::ack) != 0) line += " ack=" + std::to_string(t.ack - (is_sent ? f->iss : ours));
    line += " win=" + std::to_string(t.window) + " len=" + std::to_string(t.payload.size());
    if (t.ts) line += " ts=" + std::to_string(t.ts->first) + "," + std::to_string(t.ts->second);
    if (flows_.size() > 1) line += " (port " + std::to_string(f->peer_port) + ")";
    diary_.push_back(std::move(line));
}

std::string Fixture::diary() const {
    std::string out = std::string("way: ") + test::name(way_) + ", the wire (> to the stack, < from it):\n";
    const std::size_t first = diary_.size() > 60 ? diary_.size() - 60 : 0;
    for (std::size_t i = first; i < diary_.size(); ++i) out += "  " + diary_[i] + "\n";
    return out;
}

}  // namespace keepnet::test
