#include "sim/trace.hpp"

#include <algorithm>

#include "sim/frame.hpp"

namespace keepnet::sim {

namespace {

/// The name, and what its three numbers are.
struct Wording {
    const char* name;
    const char* a;
    const char* b;
    const char* c;
};

Wording wording(What what) {
    switch (what) {
        case What::boot:
            return {"boot, nothing durable", "", "", ""};
        case What::restored:
            return {"restored", "cut", "elapsed_us", "sockets"};
        case What::attached:
            return {"attached", "elapsed_us", "", ""};
        case What::crash:
            return {"crash", "downtime_us", "where", ""};
        case What::ready:
            return {"ready", "", "", ""};
        case What::polled:
            return {"polled", "received", "sent", "next_us"};
        case What::frame_sent:
            return {"sends", "", "", ""};
        case What::frame_lost:
            return {"  lost", "", "", ""};
        case What::frame_damaged:
            return {"  damaged", "", "", ""};
        case What::frame_arrived:
            return {"gets", "", "", ""};
        case What::cut:
            return {"cut", "cut", "", ""};
        case What::encoded:
            return {"encoded", "cut", "bytes", "hash"};
        case What::overrun:
            return {"cut overrun", "cut", "", ""};
        case What::abandoned:
            return {"abandoned", "cut", "", ""};
        case What::durable:
            return {"durable", "cut", "", ""};
        case What::committed:
            return {"committed", "cut", "", ""};
        case What::suspend:
            return {"suspend", "", "", ""};
        case What::opened:
            return {"app opens", "id", "error", ""};
        case What::accepted:
            return {"app accepts", "socket", "", ""};
        case What::transferred:
            return {"app takes", "id", "bytes", "taken"};
        case What::handled:
            return {"app handles", "id", "bytes", "handled"};
        case What::wrote:
            return {"app writes", "id", "bytes", "written"};
        case What::shut:
            return {"app shuts", "id", "", ""};
        case What::closed:
            return {"app closes", "id", "", ""};
        case What::aborted:
            return {"app aborts", "id", "", ""};
        case What::reset:
            return {"app sees an error", "id", "error", ""};
        case What::faults_over:
            return {"--- no more faults", "", "", ""};
        case What::all_done:
            return {"--- every transfer is complete", "", "", ""};
        case What::replay:
            return {"app is rolled back", "", "", ""};
        case What::replayed:
            return {"app has caught up", "", "", ""};
        case What::journal_write:
            return {"journal writes", "at", "bytes", ""};
        case What::journal_durable:
            return {"journal is durable", "from", "", ""};
        case What::journal_failed:
            return {"journal fails", "at", "", ""};
        case What::card:
            return {"another card", "mtu", "", ""};
    }
    return {"?", "", "", ""};
}

bool is_frame(What what) { return what >= What::frame_sent && what <= What::frame_arrived; }

}  // namespace

void Trace::mix(std::uint64_t v) {
    hash_ ^= v;
    hash_ *= 0x9e37'79b9'7f4a'7c15U;
    hash_ ^= hash_ >> 29;
}

Trace::Event& Trace::next(Instant t, unsigned who, What what) {
    Event& e = ring_[count_++ % kept];
    e.t = t;
    e.who = static_cast<std::uint8_t>(who);
    e.what = what;
    mix(static_cast<std::uint64_t>(t.ns));
    mix(who << 8 | static_cast<unsigned>(what));
    return e;
}

void Trace::add(Instant t, unsigned who, What what, std::uint64_t a, std::uint64_t b, std::uint64_t c) {
    Event& e = next(t, who, what);
    e.a = a, e.b = b, e.c = c;
    mix(a), mix(b), mix(c);
    if (verbose) std::printf("%s\n", text(e).c_str());
}

void Trace::frame(Instant t, unsigned who, What what, ByteView bytes) {
    if (capture_ && what == What::frame_sent) write_capture(t, bytes);
    Event& e = next(t, who, what);
    e.frame_bytes = static_cast<std::uint16_t>(bytes.size());
    std::copy_n(bytes.begin(), std::min(bytes.size(), e.head.size()), e.head.begin());
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
        std::uint64_t word = 0;
        for (std::size_t k = i; k < std::min(i + 8, bytes.size()); ++k) word = word << 8 | bytes[k];
        mix(word);
    }
    if (verbose) std::printf("%s\n", text(e).c_str());
}

void Trace::capture(const std::string& path) {
    capture_.reset(std::fopen(path.c_str(), "wb"));
    if (!capture_) throw std::runtime_error("cannot write the capture " + path);
    // pcap: magic number for nanoseconds, version 2.4, zone, accuracy, longest packet, Ethernet.
    const std::array<std::uint32_t, 6> header{0xa1b2'3c4d, 0x0004'0002, 0, 0, 65535, 1};
    (void)std::fwrite(header.data(), sizeof header, 1, capture_.get());
}

void Trace::write_capture(Instant t, ByteView bytes) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    const std::array<std::uint32_t, 4> header{static_cast<std::uint32_t>(t.ns / 1'000'000'000),
                                              static_cast<std::uint32_t>(t.ns % 1'000'000'000), size, size};
    (void)std::fwrite(header.data(), sizeof header, 1, capture_.get());
    (void)std::fwrite(bytes.data(), 1, bytes.size(), capture_.get());
}

std::string Trace::text(const Event& e) {
    const Wording w = wording(e.what);
    char line[64];
    std::snprintf(line, sizeof line, "%14.6f %c %s", static_cast<double>(e.t.ns) / 1e9, 'A' + e.who, w.name);
    std::string out = line;
    if (is_frame(e.what)) {
        return out + "  " +
               describe({e.head.data(), std::min<std::size_t>(e.frame_bytes, e.head.size())}, e.frame_bytes);
    }
    const auto field = [&](const char* what, std::uint64_t v) {
        if (*what != 0) out += std::string(" ") + what + "=" + std::to_string(v);
    };
    field(w.a, e.a), field(w.b, e.b), field(w.c, e.c);
    return out;
}

std::string Trace::tail() const {
    std::string out;
    for (std::uint64_t i = count_ > kept ? count_ - kept : 0; i < count_; ++i)
        out += text(ring_[i % kept]) + "\n";
    return out;
}

}  // namespace keepnet::sim
