// RFC 9293 3.10.7 with RFC 5961 and RFC 1337, enumerated: eleven phases x flags x places of SEQ and ACK, with
// and without data. What must come of each is computed here from the RFC's text, step by step, and from
// nothing else.
#include <sstream>

#include "base/seq.hpp"
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// The variables of 3.3.1, relative to each side's initial number.
struct Block {
    TcpPhase phase = TcpPhase::closed;
    std::uint32_t una = 0, nxt = 0, rcv_nxt = 0, edge = 0, wnd_max = 0;
    bool is_active = false;  ///< we called connect(): SYN-RECEIVED comes of a simultaneous open
};

struct Arrival {
    std::uint8_t flags = 0;
    std::uint32_t seq = 0, ack = 0, length = 0;
    [[nodiscard]] bool has(std::uint8_t f) const { return (flags & f) != 0; }
    [[nodiscard]] std::uint32_t seq_length() const {
        return length + (has(flag::syn) ? 1U : 0U) + (has(flag::fin) ? 1U : 0U);
    }
    [[nodiscard]] std::string text() const {
        std::ostringstream out;
        out << flags_text(flags) << " seq=" << seq << " ack=" << ack << " len=" << length;
        return out.str();
    }
};

// Answers, as bits: an outcome may permit several.
constexpr unsigned none = 1, ack_back = 2, reset_from_ack = 4, reset_and_ack = 8, syn_and_ack = 16;

struct Outcome {
    unsigned answers = none;
    TcpPhase phase = TcpPhase::closed;
    std::optional<TcpPhase> or_phase{};  ///< permitted too
    std::uint32_t new_bytes = 0;         ///< that the application can read
    bool bytes_may_wait = false;         ///< or be left to be repeated
    bool may_be_gone = false;            ///< a half-open connection may also end
    std::uint32_t rcv_nxt = 0;           ///< afterwards
};

bool lt(std::uint32_t a, std::uint32_t b) { return before(Seq{a}, Seq{b}); }
bool le(std::uint32_t a, std::uint32_t b) { return before_eq(Seq{a}, Seq{b}); }

/// 3.10.7.1
Outcome closed(const Arrival& s) {
    if (s.has(flag::rst)) return {};
    return {s.has(flag::ack) ? reset_from_ack : reset_and_ack, TcpPhase::closed, {}};
}

/// 3.10.7.2
Outcome listen(const Arrival& s) {
    if (s.has(flag::rst)) return {none, TcpPhase::closed, {}};
    if (s.has(flag::ack)) return {reset_from_ack, TcpPhase::closed, {}};
    if (!s.has(flag::syn)) return {none, TcpPhase::closed, {}};
    // "Any other incoming control or data (combined with SYN) will be processed in the SYN-RECEIVED state";
    // many hosts drop a SYN with FIN instead.
    if (s.has(flag::fin)) return {syn_and_ack | none, TcpPhase::syn_received, TcpPhase::closed};
    return {syn_and_ack, TcpPhase::syn_received, {}};
}

/// 3.10.7.3
Outcome syn_sent_phase(const Block& c, const Arrival& s) {
    const bool ack_fits = s.has(flag::ack) && lt(c.una, s.ack) && le(s.ack, c.nxt);
    if (s.has(flag::ack) && !ack_fits)
        return {s.has(flag::rst) ? none : reset_from_ack, TcpPhase::syn_sent, {}};
    if (s.has(flag::rst)) return {none, ack_fits ? TcpPhase::closed : TcpPhase::syn_sent, {}};
    if (!s.has(flag::syn)) return {none, TcpPhase::syn_sent, {}};
    // Data and FIN behind the SYN may be processed now or left to be repeated.
    Outcome out{
        ack_fits ? ack_back : syn_and_ack, ack_fits ? TcpPhase::established : TcpPhase::syn_received, {}};
    if (ack_fits && s.has(flag::fin)) out.or_phase = TcpPhase::close_wait;
    out.new_bytes = ack_fits ? s.length : 0;
    out.bytes_may_wait = true;
    return out;
}

bool in_window(const Block& c, std::uint32_t x) { return le(c.rcv_nxt, x) && lt(x, c.edge); }

/// First check of 3.10.7.4.
bool acceptable(const Block& c, const Arrival& s) {
    const std::uint32_t n = s.seq_length();
    return in_window(c, s.seq) || (n > 0 && in_window(c, s.seq + n - 1));
}

/// Seventh and eighth: text and FIN, of a segment whose ACK was good. `out` holds the phase by then.
void text_and_fin(const Block& c, const Arrival& s, Outcome& out) {
    const bool receives = out.phase == TcpPhase::established || out.phase == TcpPhase::fin_wait_1 ||
                          out.phase == TcpPhase::fin_wait_2;
    if (s.length + (s.has(flag::fin) ? 1U : 0U) == 0) return;
    if (!receives) {
        out.answers = none | ack_back;  // "should not occur, since a FIN has been received"
        return;
    }
    const std::uint32_t end = s.seq + s.length;
    if (lt(c.rcv_nxt, s.seq)) {
        out.answers = s.length != 0 ? ack_back : none | ack_back;  // RFC 5681 4.2: at once
        return;
    }
    const std::uint32_t taken_end = lt(c.edge, end) ? c.edge : end;
    if (lt(c.rcv_nxt, taken_end)) {
        out.new_bytes = taken_end - c.rcv_nxt;
        out.rcv_nxt = taken_end;
        out.answers = none | ack_back;  // delayed
    }
    if (!s.has(flag::fin) || out.rcv_nxt != end || !lt(end, c.edge)) return;
    ++out.rcv_nxt;
    out.answers = ack_back;
    if (out.phase == TcpPhase::established)
        out.phase = TcpPhase::close_wait;
    else if (out.phase == TcpPhase::fin_wait_1)
        out.phase = TcpPhase::closing;
    else
        out.phase = TcpPhase::time_wait;
}

Outcome otherwise(const Block& c, const Arrival& s);

/// The peer's SYN comes again in SYN-RECEIVED: "trimming off any portions that lie outside the window
/// (including SYN and FIN)" leaves what came with it; figure 8 has an ACK with it. It may also be answered
/// like what is not acceptable.
Outcome repeated_syn(const Block& c, const Arrival& s) {
    Arrival rest = s;
    rest.flags = static_cast<std::uint8_t>(rest.flags & ~flag::syn);
    ++rest.seq;
    Outcome out = otherwise(c, rest);
    out.bytes_may_wait = true;
    if (out.phase != c.phase) out.or_phase = c.phase;
    out.answers |= ack_back | syn_and_ack | none;
    // Untrimmed, what reaches into the window is a SYN in the window.
    out.may_be_gone = acceptable(c, s) && !c.is_active;
    return out;
}

/// 3.10.7.4
Outcome otherwise(const Block& c, const Arrival& s) {
    Outcome out{.answers = none, .phase = c.phase, .or_phase = {}, .new_bytes = 0, .rcv_nxt = c.rcv_nxt};
    const bool is_time_wait = c.phase == TcpPhase::time_wait;
    // Second, RST (RFC 5961 3.2); by its own sequence number.
    if (s.has(flag::rst)) {
        if (!in_window(c, s.seq)) return out;
        if (is_time_wait)
            out.answers = none | ack_back;  // RFC 1337: ignored
        else if (s.seq == c.rcv_nxt)
            out.phase = TcpPhase::closed;
        else
            out.answers = ack_back;
        return out;
    }
    // 3.6.1 MAY-2, RFC 6191: a new connection out of TIME-WAIT.
    if (is_time_wait && s.has(flag::syn)) {
        const bool is_new = !s.has(flag::ack) && lt(c.rcv_nxt - 1, s.seq);
        out.answers = is_new ? ack_back | syn_and_ack : ack_back;
        if (is_new) out.or_phase = TcpPhase::syn_received;
        return out;
    }
    if (c.phase == TcpPhase::syn_received && s.has(flag::syn) && s.seq == 0) return repeated_syn(c, s);
    // First, the sequence number.
    if (!acceptable(c, s)) {
        out.answers = ack_back;
        return out;
    }
    // Fourth, SYN.
    if (s.has(flag::syn)) {
        if (c.phase == TcpPhase::syn_received && !c.is_active)
            out.phase = TcpPhase::closed;  // passive: back to LISTEN
        else
            out.answers = ack_back;  // "per the directions for synchronized states": RFC 5961 4.2
        return out;
    }
    // Fifth, ACK.
    if (!s.has(flag::ack)) return out;
    if (c.phase == TcpPhase::syn_received) {
        if (!lt(c.una, s.ack) || !le(s.ack, c.nxt)) {
            out.answers = reset_from_ack;
            return out;
        }
        out.phase = TcpPhase::established;
    } else if (lt(c.nxt, s.ack) || lt(s.ack, c.una - c.wnd_max)) {
        out.answers = ack_back;  // RFC 5961 5.2
        return out;
    }
    const bool all_acked = s.ack == c.nxt;
    if (c.phase == TcpPhase::fin_wait_1 && all_acked) out.phase = TcpPhase::fin_wait_2;
    if (c.phase == TcpPhase::closing && all_acked) out.phase = TcpPhase::time_wait;
    if (c.phase == TcpPhase::last_ack && all_acked) {
        out.phase = TcpPhase::closed;
        return out;
    }
    text_and_fin(c, s, out);
    return out;
}

Outcome judge(const Block& c, const Arrival& s) {
    switch (c.phase) {
        case TcpPhase::closed:
            return closed(s);
        case TcpPhase::listen:
            return listen(s);
        case TcpPhase::syn_sent:
            return syn_sent_phase(c, s);
        default:
            return otherwise(c, s);
    }
}

/// The phase, with something in flight where it can be.
Fixture prepare(TcpPhase phase, Way way, bool is_active) {
    if (is_active) {
        Fixture t = syn_sent(way);
        t.peer_sends(syn());
        t.expect(syn_ack().seq(0).ack(1)).expect_silence().expect(TcpPhase::syn_received);
        return t;
    }
    Fixture t = reach(phase == TcpPhase::fin_wait_1 ? TcpPhase::established : phase, way);
    if (phase == TcpPhase::established || phase == TcpPhase::close_wait) t.app_sends(100).expect(data(100));
    if (phase == TcpPhase::fin_wait_1) {
        t.app_sends(100).expect(data(100));
        t.app_shuts_down().expect(fin().seq(101));
    }
    t.expect_silence();
    return t;
}

Block block_of(Fixture& t, TcpPhase phase) {
    Block b{.phase = phase};
    if (const TcpConnectionState* c = t.connection()) {
        b.una = c->snd.una.raw - c->snd.iss.raw;
        b.nxt = c->snd.max.raw - c->snd.iss.raw;
        b.rcv_nxt = c->rcv.nxt.raw - t.flow().iss;
        b.edge = c->rcv.adv.raw - t.flow().iss;
        b.wnd_max = c->snd.wnd_max;
    }
    return b;
}

std::string name_of_answers(unsigned bits) {
    static constexpr const char* names[] = {"nothing", "ACK", "RST from ACK", "RST|ACK", "SYN|ACK"};
    std::string out;
    for (unsigned i = 0; i < 5; ++i) {
        if ((bits >> i & 1) != 0) out += (out.empty() ? "" : " or ") + std::string(names[i]);
    }
    return out;
}

/// What the stack said, as one of the bits; 0 for anything else.
unsigned classify(Fixture& t, const Arrival& s, const Outcome& want) {
    const auto p = t.take();
    if (!p) return none;
    if (t.take() || !p->tcp) return 0;
    const TcpFields& a = *p->tcp;
    const std::uint32_t base = t.flow().stack_iss.value_or(0);
    switch (a.flags) {
        case flag::ack: {
            const bool right = want.rcv_nxt == 0 || a.ack - t.flow().iss == want.rcv_nxt;
            return right && a.payload.empty() ? ack_back : 0;
        }
        case flag::rst:
            return a.seq - base == s.ack ? reset_from_ack : 0;
        case flag::rst | flag::ack:
            return a.seq == 0 && a.ack - t.flow().iss == s.seq + s.seq_length() ? reset_and_ack : 0;
        case flag::syn | flag::ack:
            return syn_and_ack;
        default:
            return 0;
    }
}

/// "" when the stack did as the RFC says.
std::string try_one(TcpPhase phase, Way way, std::size_t seq_place, std::size_t ack_place, std::uint8_t flags,
                    std::uint32_t length, bool is_active) {
    Fixture t = prepare(phase, way, is_active);
    t.check_content = false;
    Block b = block_of(t, phase);
    b.is_active = is_active;
    const std::uint32_t seqs[] = {b.rcv_nxt - 20, b.rcv_nxt - 1, b.rcv_nxt,     b.rcv_nxt + 5,
                                  b.edge - 1,     b.edge,        b.edge + 1000, b.rcv_nxt + 0x8000'0000U};
    const std::uint32_t acks[] = {b.una - 70'000, b.una - 1, b.una,          b.una + 1,
                                  b.nxt,          b.nxt + 1, b.nxt + 100'000};
    const Arrival s{flags, seqs[seq_place], acks[ack_place], length};
    const Outcome want = judge(b, s);
    const std::size_t readable_before = t.socket && t.stack().info(t.socket) ? t.readable() : 0;
    t.peer_sends(segment(flags).seq(s.seq).ack(s.ack).length(length));
    const unsigned answer = classify(t, s, want);
    const TcpConnectionState* c = t.connection();
    const TcpPhase have = c == nullptr ? TcpPhase::closed : c->phase;
    const TcpPhase want_phase = want.phase == TcpPhase::listen ? TcpPhase::closed : want.phase;
    const bool phase_fits = have == want_phase || (want.or_phase && have == *want.or_phase) ||
                            (want.may_be_gone && have == TcpPhase::closed);
    std::size_t readable = want.new_bytes;
    if (t.socket && t.stack().info(t.socket) && have != TcpPhase::closed)
        readable = t.readable() - readable_before;
    // RFC 9293 3.10.7.4: the caller of connect() is told "connection refused".
    const bool was_refused = is_active && s.has(flag::rst) && want_phase == TcpPhase::closed;
    if (was_refused) t.expect_error(Error::connection_refused);
    t.ignore_output();
    const bool bytes_fit = readable == want.new_bytes || (want.bytes_may_wait && readable == 0);
    if ((answer & want.answers) != 0 && phase_fits && bytes_fit) return "";
    std::ostringstream out;
    out << keepnet::name(phase) << " [una " << b.una << " nxt " << b.nxt << " rcv_nxt " << b.rcv_nxt
        << " edge " << b.edge << "] gets " << s.text() << ": want " << name_of_answers(want.answers) << ", "
        << keepnet::name(want_phase) << ", " << want.new_bytes << " bytes; have "
        << (answer == 0 ? "another answer" : name_of_answers(answer)) << ", " << keepnet::name(have) << ", "
        << readable << " bytes";
    return out.str();
}

constexpr TcpPhase all_phases[] = {TcpPhase::closed,       TcpPhase::listen,      TcpPhase::syn_sent,
                                   TcpPhase::syn_received, TcpPhase::established, TcpPhase::fin_wait_1,
                                   TcpPhase::fin_wait_2,   TcpPhase::close_wait,  TcpPhase::closing,
                                   TcpPhase::last_ack,     TcpPhase::time_wait};

/// Every `stride`-th case of a phase.
void enumerate(TcpPhase phase, Way way, std::size_t stride, bool is_active = false) {
    std::vector<std::string> wrong;
    std::size_t number = 0;
    for (unsigned bits = 0; bits < 16; ++bits) {
        const auto flags = static_cast<std::uint8_t>((bits & 7) | ((bits & 8) != 0 ? flag::ack : 0));
        for (std::size_t seq = 0; seq < 8; ++seq) {
            for (std::size_t ack = 0; ack < 7; ++ack) {
                for (const std::uint32_t length : {0U, 10U}) {
                    if (number++ % stride != 0) continue;
                    std::string problem = try_one(phase, way, seq, ack, flags, length, is_active);
                    if (!problem.empty()) wrong.push_back(std::move(problem));
                }
            }
        }
    }
    std::ostringstream out;
    for (std::size_t i = 0; i < wrong.size() && i < 12; ++i) out << wrong[i] << "\n";
    INFO(wrong.size() << " of " << number << " wrong:\n" << out.str());
    CHECK(wrong.empty());
}

}  // namespace

TEST_CASE("RFC 9293 3.10.7: every phase, flag combination, place of SEQ and of ACK", "[enumerated]") {
    for (const TcpPhase phase : all_phases) {
        DYNAMIC_SECTION(keepnet::name(phase)) {
            enumerate(phase, Way::plain, 1);
            enumerate(phase, Way::swapped, 29);
            enumerate(phase, Way::seam, 7);
        }
    }
}

TEST_CASE("RFC 9293 3.10.7.4: SYN-RECEIVED of a simultaneous open, every flag combination, place of SEQ and of ACK", "[enumerated]") {
    enumerate(TcpPhase::syn_received, Way::plain, 1, true);
    enumerate(TcpPhase::syn_received, Way::swapped, 29, true);
    enumerate(TcpPhase::syn_received, Way::seam, 7, true);
}

TEST_CASE("RFC 7323 5.3, 3.2: PAWS before all else but a reset, and a segment without what was negotiated is not there",
          "[enumerated]") {
    for (unsigned bits = 0; bits < 16; ++bits) {
        const auto flags = static_cast<std::uint8_t>((bits & 7) | ((bits & 8) != 0 ? flag::ack : 0));
        if ((flags & flag::rst) != 0) continue;  // R1: "and the RST bit is off"
        for (const std::uint32_t offset : {0U, 5U}) {
            for (const std::uint32_t acked : {1U, 51U, 101U}) {
                for (const bool has_timestamps : {true, false}) {
                    CAPTURE(flags_text(flags), offset, acked, has_timestamps);
                    Fixture t = listening(Way::plain);
                    t.flow().offers_ts = true;
                    open_passive(t);
                    t.check_content = false;
                    t.app_sends(100).expect(data(100));
                    const std::uint32_t recent = t.connection()->ts.recent;
                    Segment s = segment(flags).seq(1 + offset).ack(acked).length(10);
                    t.peer_sends(has_timestamps ? std::move(s).ts(recent - 1, 0) : std::move(s).no_ts());
                    const auto answer = t.take();
                    if (has_timestamps) {
                        REQUIRE(answer.has_value());
                        CHECK(answer->tcp->flags == flag::ack);
                        CHECK(answer->tcp->ack - t.flow().iss == 1);
                    } else if ((flags & flag::syn) == 0) {
                        CHECK_FALSE(answer.has_value());
                    }
                    CHECK(t.connection()->phase == TcpPhase::established);
                    CHECK(t.connection()->ts.recent == recent);
                    CHECK(t.readable() == 0);
                    CHECK(t.info().tx_acknowledged == 0);
                    t.ignore_output();
                }
            }
        }
    }
}
