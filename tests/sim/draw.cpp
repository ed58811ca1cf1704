#include "sim/draw.hpp"

#include <algorithm>

namespace keepnet::sim {

namespace {

/// Small values as often as large ones: each doubling is as likely as the next.
std::uint64_t any_size(Dice& d, std::uint64_t low, std::uint64_t high) {
    unsigned doublings = 0;
    while ((std::max<std::uint64_t>(low, 1) << (doublings + 1)) <= high) ++doublings;
    const std::uint64_t at = std::max<std::uint64_t>(low, 1) << d.below(doublings + 1);
    return std::clamp(at + d.below(at), low, high);
}

Duration any_time(Dice& d, Duration low, Duration high) {
    return {static_cast<std::int64_t>(
        any_size(d, static_cast<std::uint64_t>(low.ns), static_cast<std::uint64_t>(high.ns)))};
}

template <class T, std::size_t n>
T one_of(Dice& d, const T (&choices)[n]) {
    return choices[d.below(n)];
}

LinkPlan draw_link(Dice& d) {
    LinkPlan p;
    p.latency = any_time(d, microseconds(10), milliseconds(60));
    if (d.percent(60)) p.jitter = any_time(d, microseconds(1), p.latency * 3);
    if (d.percent(70)) p.loss_permille = static_cast<unsigned>(any_size(d, 1, 150));
    if (d.percent(40)) p.duplicate_permille = static_cast<unsigned>(any_size(d, 1, 100));
    if (d.percent(40)) p.damage_permille = static_cast<unsigned>(any_size(d, 1, 60));
    if (d.percent(30)) {
        p.bytes_per_second = any_size(d, 60'000, 50'000'000);
        p.queue_max = any_time(d, milliseconds(20), milliseconds(400));
    }
    return p;
}

/// Tables between "barely enough" and "plenty". What runs out must be refused, counted, and work again later.
void draw_capacity(Dice& d, CapacityConfig& n, std::uint32_t connections) {
    n.interfaces = 2;
    n.addresses = 8;
    n.routes = 8;
    n.neighbors = static_cast<std::uint32_t>(d.between(4, 16));
    n.pending_packets = static_cast<std::uint32_t>(d.between(2, 32));
    n.destinations = 8;
    n.sockets = connections * 2 + 16;
    n.tcp_connections = connections * 4 + 16;
    n.tcp_tombstones = d.percent(30) ? connections + 4 : n.tcp_connections;
    n.tcp_listeners = 8;
    n.udp_sockets = 4;
    n.udp_datagrams = 64;
    n.slice_nodes = one_of(d, {256U, 512U, 2048U, 8192U});
    n.sent_ranges = one_of(d, {8U, 64U, 512U, 4096U});
    n.packet_buffers = one_of(d, {128U, 256U, 512U, 2048U, 4096U});
    n.transmit_ring = one_of(d, {16U, 64U, 256U, 512U});
    n.shadow_objects = d.percent(30) ? static_cast<std::uint32_t>(d.between(8, 64)) : 2048;
    n.sweep_queue_bytes = 1U << 16;
}

void draw_tcp(Dice& d, TcpConfig& t) {
    t.receive_buffer = static_cast<std::uint32_t>(any_size(d, 4096, 512 * 1024));
    t.send_buffer = static_cast<std::uint32_t>(any_size(d, 4096, 512 * 1024));
    t.initial_window_segments = one_of<std::uint8_t>(d, {1, 2, 4, 10});
    t.delayed_ack = one_of(d, {milliseconds(0), milliseconds(1), milliseconds(40), milliseconds(200)});
    t.msl = one_of(d, {seconds(2), seconds(10), seconds(30)});
    t.out_of_order_segments = static_cast<std::uint32_t>(any_size(d, 2, 512));
    t.listen_half_open = static_cast<std::uint32_t>(any_size(d, 2, 256));
    t.sack = d.percent(85);
    t.sent_ranges = static_cast<std::uint32_t>(any_size(d, 2, 512));
    t.rto_min = one_of(d, {milliseconds(50), milliseconds(200), milliseconds(1000)});
    // Nobody may give up because of our faults: a test of patience has no verdict.
    t.syn_give_up = seconds(7200);
    t.data_give_up = seconds(7200);
    // Its client may be down for a minute, and wait for a commit after that.
    t.synack_give_up = seconds(240);
    t.fin_wait_2 = seconds(1800);
    if (d.percent(20)) t.timestamp_reservation = seconds(d.percent(50) ? 1 : 30);
}

void draw_poll(Dice& d, PollConfig& p) {
    if (d.percent(50)) return;
    p.receive_burst = static_cast<std::uint32_t>(any_size(d, 1, 64));
    p.timers = static_cast<std::uint32_t>(any_size(d, 1, 4096));
    p.outputs = static_cast<std::uint32_t>(any_size(d, 1, 64));
    p.segments_per_turn = static_cast<std::uint32_t>(any_size(d, 1, 16));
    p.sweep_objects = static_cast<std::uint32_t>(any_size(d, 4, 2048));
}

void draw_cuts(Dice& d, HostPlan& h) {
    h.takes_cuts = true;
    h.on_demand = d.percent(50);
    h.cut_interval = h.on_demand ? any_time(d, microseconds(1), milliseconds(20))
                                 : any_time(d, milliseconds(1), seconds(3));
    h.storage_min = any_time(d, microseconds(1), milliseconds(5));
    h.storage_max = any_time(d, h.storage_min, h.storage_min * 50);
    if (d.percent(60)) h.told_max = any_time(d, microseconds(1), milliseconds(10));
    h.sync_encode_percent = one_of(d, {0U, 20U, 100U});
    if (d.percent(30)) h.abandon_percent = 15;
}

void draw_deaths(Dice& d, HostPlan& h, Instant faults_end) {
    h.crashes = static_cast<unsigned>(any_size(d, 1, 12));
    h.downtime_max = one_of(d, {nanoseconds(0), milliseconds(1), milliseconds(200), seconds(5), seconds(60)});
    h.outage_is = one_of(d, {Outage::unknown, Outage::by_wall_clock, Outage::exact});
    if (d.percent(20)) h.attach_percent = 50;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Place::journal); ++i) {
        unsigned& permille = h.crash_permille[i];
        if (d.percent(35)) permille = static_cast<unsigned>(any_size(d, 1, 60));
    }
    for (std::uint64_t n = d.below(h.crashes + 1); n != 0; --n) {
        h.crash_at.push_back({static_cast<std::int64_t>(d.below(static_cast<std::uint64_t>(faults_end.ns)))});
    }
    std::sort(h.crash_at.begin(), h.crash_at.end());
}

HostPlan draw_host(Dice& d, std::uint32_t connections, Instant faults_end) {
    HostPlan h;
    h.life = one_of(d, {Life::steady, Life::crashing, Life::crashing, Life::orderly});
    draw_capacity(d, h.config.capacity, connections);
    draw_tcp(d, h.config.tcp);
    draw_poll(d, h.config.poll);
    h.config.nd.dad_transmits = d.percent(30) ? 1 : 0;
    h.mtu = d.percent(50) ? 1500 : static_cast<std::uint16_t>(d.between(1280, 1500));
    h.config.policy =
        h.life == Life::crashing || d.percent(40) ? DurabilityPolicy::snapshot : DurabilityPolicy::none;
    if (h.config.policy == DurabilityPolicy::snapshot) draw_cuts(d, h);
    if (h.life != Life::steady) draw_deaths(d, h, faults_end);
    if (h.life == Life::orderly) h.attach_percent = d.percent(50) ? 30 : 0;
    if (d.percent(50)) h.poll_latency = any_time(d, microseconds(1), milliseconds(3));
    if (d.percent(30)) h.transmit_refusal_percent = static_cast<unsigned>(any_size(d, 1, 50));
    h.link_local = d.percent(30);
    // Clients that time out together come together: they all find room before their cookies are stale.
    h.backlog = std::max(static_cast<std::uint32_t>(any_size(d, 1, 32)), connections / 3);
    h.udp_held = h.config.policy == DurabilityPolicy::snapshot && d.percent(50);
    if (d.percent(30)) h.udp_interval = any_time(d, milliseconds(5), milliseconds(500));
    return h;
}

SidePlan draw_side(Dice& d, const TcpConfig& t) {
    SidePlan s;
    if (d.percent(30)) s.read_chunk = static_cast<std::uint32_t>(any_size(d, 64, 16384));
    if (d.percent(30)) s.write_chunk = static_cast<std::uint32_t>(any_size(d, 16, 16384));
    if (d.percent(20)) s.read_pause = any_time(d, microseconds(10), milliseconds(500));
    if (d.percent(20)) s.write_pause = any_time(d, microseconds(10), milliseconds(200));
    s.no_delay = d.percent(40);
    s.quick_ack = d.percent(20);
    if (d.percent(20)) s.receive_buffer = static_cast<std::uint32_t>(any_size(d, 4096, t.receive_buffer));
    if (d.percent(20)) s.send_buffer = static_cast<std::uint32_t>(any_size(d, 4096, t.send_buffer));
    if (d.percent(15)) s.max_segment = static_cast<std::uint16_t>(any_size(d, 256, 1400));
    return s;
}

void draw_amounts(Dice& d, ConnectionPlan& c) {
    const auto size = [&](std::uint64_t high) { return d.one_in(20) ? 0 : any_size(d, 1, high); };
    c.up = header_bytes;
    switch (c.kind) {
        case Kind::stream:
        case Kind::half_close:
        case Kind::idle_then_stream:
        case Kind::aborted:
            c.up += size(150'000);
            c.down = size(150'000);
            break;
        case Kind::download:
            c.down = size(400'000);
            break;
        case Kind::upload:
            c.up += size(400'000);
            break;
        case Kind::brief:
            c.up += d.below(400);
            c.down = d.below(3000);
            break;
        case Kind::request_response: {
            c.request = static_cast<std::uint32_t>(any_size(d, 1, 3000));
            c.response = static_cast<std::uint32_t>(any_size(d, 1, 6000));
            const std::uint64_t rounds = d.between(1, 20);
            c.up += c.request * rounds;
            c.down = c.response * rounds;
            break;
        }
    }
}

ConnectionPlan draw_connection(Dice& d, const Plan& plan, std::uint32_t id, bool many) {
    ConnectionPlan c;
    c.id = id;
    c.client = static_cast<std::uint8_t>(d.below(2));
    c.server = static_cast<std::uint8_t>(1 - c.client);
    c.kind = many ? Kind::brief
                  : one_of(d, {Kind::stream, Kind::download, Kind::upload, Kind::request_response,
                               Kind::half_close, Kind::brief, Kind::idle_then_stream, Kind::aborted});
    draw_amounts(d, c);
    c.bind_first = d.one_in(4);
    const auto window = static_cast<std::uint64_t>(plan.faults_end.ns);
    c.start = {static_cast<std::int64_t>(d.percent(50) ? d.below(window / 10 + 1) : d.below(window))};
    for (std::size_t i = 0; i < 2; ++i) {
        const std::size_t host = i == 0 ? c.client : c.server;
        c.side[i] = draw_side(d, plan.host[host].config.tcp);
        if (c.kind == Kind::aborted && d.percent(60))
            c.side[i].abort_permille = static_cast<unsigned>(any_size(d, 1, 200));
    }
    return c;
}

LinkPlan draw_line(Dice& d) { return d.one_in(8) ? LinkPlan{.latency = microseconds(20)} : draw_link(d); }

/// More hosts: connections between any two, partitions between any groups.
void draw_hosts(Dice& d, Plan& plan) {
    const auto hosts = static_cast<unsigned>(d.percent(60) ? 2 : d.between(3, hosts_max));
    while (plan.host.size() < hosts) {
        plan.host.push_back(
            draw_host(d, static_cast<std::uint32_t>(plan.connections.size()), plan.faults_end));
        plan.link.push_back(draw_line(d));
    }
    if (hosts == 2) return;
    for (ConnectionPlan& c : plan.connections) {
        c.client = static_cast<std::uint8_t>(d.below(hosts));
        c.server = static_cast<std::uint8_t>((c.client + d.between(1, hosts - 1)) % hosts);
    }
    for (Blackout& b : plan.blackouts) b.group = static_cast<unsigned>(d.between(1, (1U << hosts) - 2));
}

/// What the first version's storage never did.
void draw_storage(Dice& d, HostPlan& h) {
    if (!h.takes_cuts) return;
    if (d.percent(30)) h.write_error_percent = static_cast<unsigned>(any_size(d, 1, 40));
    if (h.life == Life::orderly && d.percent(50)) h.suspended_crash_percent = 50;
}

void draw_outside(Dice& d, Plan& plan) {
    for (HostPlan& h : plan.host) draw_storage(d, h);
    for (std::uint64_t n = d.percent(40) ? d.between(1, 3) : 0; n != 0; --n) {
        const Instant from{static_cast<std::int64_t>(d.below(static_cast<std::uint64_t>(plan.faults_end.ns)))};
        plan.narrows.push_back({static_cast<std::uint16_t>(d.between(1280, 1450)), from,
                                from + any_time(d, milliseconds(10), seconds(20))});
    }
}

void draw_more(Dice& d, Plan& plan) {
    draw_hosts(d, plan);
    const bool is_quiet = d.percent(20);  // a laboratory's network: what there is to find lies in the hosts
    const std::size_t slow = d.below(plan.host.size());  // there: one alone, or what it is sent is never much
    for (std::size_t i = 0; i < plan.host.size(); ++i) {
        HostPlan& h = plan.host[i];
        if (d.percent(30)) h.ready_max = any_time(d, milliseconds(1), milliseconds(500));
        if (is_quiet ? i == slow : d.percent(15)) {  // a slow machine: one segment, and then something else for a while
            h.config.poll.outputs = h.config.poll.segments_per_turn = 1;
            h.poll_latency = any_time(d, milliseconds(1), milliseconds(5));
            // Its cuts are rare enough for an application to have answered what came, and closed, before one.
            if (is_quiet && h.takes_cuts) h.on_demand = false, h.cut_interval = any_time(d, milliseconds(5), milliseconds(50));
        }
        if (is_quiet && i != slow) h.config.poll = {}, h.config.tcp.initial_window_segments = 10;
    }
    for (LinkPlan& l : plan.link) {
        if (is_quiet) l = {.latency = any_time(d, microseconds(5), microseconds(200))};
    }
    if (d.percent(30)) plan.stray_interval = any_time(d, milliseconds(1), seconds(1));
    for (ConnectionPlan& c : plan.connections) {
        if (is_quiet && d.percent(80)) {
            c.kind = Kind::half_close;
            c.up = header_bytes + any_size(d, 4000, 60'000);
            for (SidePlan& side : c.side) side.abort_permille = 0;
        }
        if (c.kind != Kind::half_close || d.percent(is_quiet ? 10 : 40)) continue;
        // The server's end follows the client's at once, and its ACKs, each of eight segments of its own, lag behind.
        c.down = 0;
        if (is_quiet || d.percent(40)) c.side[0].max_segment = 256;
    }
}

/// Congestion control, and what came with it.
void draw_control(Dice& d, Plan& plan) {
    for (HostPlan& h : plan.host) {
        TcpConfig& t = h.config.tcp;
        t.congestion = one_of(d, {CongestionAlgorithm::cubic, CongestionAlgorithm::newreno});
        t.ecn = one_of(d, {EcnMode::off, EcnMode::respond, EcnMode::request, EcnMode::request});
        t.quick_acks = one_of<std::uint8_t>(d, {0, 1, 16});
        t.receive_buffer_tuned = d.percent(50) ? static_cast<std::uint32_t>(any_size(d, 8192, 4U << 20)) : 0;
        t.mtu_probing = d.percent(80);
        t.mtu_probe_interval = any_time(d, milliseconds(10), seconds(600));
        t.burst_segments = static_cast<std::uint32_t>(d.percent(50) ? any_size(d, 1, 64) : 0);
    }
    for (LinkPlan& l : plan.link) {
        if (d.percent(40)) l.mark_permille = static_cast<unsigned>(any_size(d, 1, 1000));
    }
    for (Narrow& n : plan.narrows) n.is_silent = d.percent(40);
    for (HostPlan& h : plan.host) {
        h.config.tcp.ack_burst_segments = one_of<std::uint8_t>(d, {1, 8, 255});
        h.config.tcp.push_segments_min = one_of<std::uint8_t>(d, {1, 2, 10});
        h.config.tcp.restart_after_idle = d.percent(70);
    }
}

/// Snapshots may be as rare as every minute: what is promised meanwhile is in the journal.
void draw_journal(Dice& d, HostPlan& h) {
    h.config.policy = DurabilityPolicy::journal;
    if (!h.takes_cuts) draw_cuts(d, h), draw_storage(d, h);
    if (!h.on_demand && d.percent(50)) h.cut_interval = any_time(d, milliseconds(1), seconds(60));
    h.attach_percent = 0;  // an arena that survived has no use for it
    h.udp_held = d.percent(50);
    JournalPlan& j = h.journal;
    j.capacity = one_of(d, {1U << 20, 2U << 20, 8U << 20});
    if (d.percent(75)) {
        j.write_min = any_time(d, microseconds(1), milliseconds(2));
        j.write_max = any_time(d, j.write_min, j.write_min * 50);
    }
    if (d.percent(30)) j.write_error_percent = static_cast<unsigned>(any_size(d, 1, 20));
    j.broken_max = any_time(d, milliseconds(1), seconds(3));
    if (d.percent(50)) j.replay_pause_max = any_time(d, microseconds(1), milliseconds(1));
    if (h.life != Life::steady && d.percent(50))
        h.crash_permille[static_cast<std::size_t>(Place::journal)] = static_cast<unsigned>(any_size(d, 1, 100));
}

void draw_journals(Dice& d, Plan& plan, bool is_everywhere) {
    if (is_everywhere && std::none_of(plan.host.begin(), plan.host.end(),
                                      [](const HostPlan& h) { return h.life == Life::crashing; })) {
        plan.host[0].life = Life::crashing;
        draw_deaths(d, plan.host[0], plan.faults_end);
    }
    for (HostPlan& h : plan.host) {
        if (is_everywhere || d.percent(25)) draw_journal(d, h);
    }
}

/// Snapshots as rare as every minute and no journal: everything takes minutes. So there is less of it, and faults, work and
/// patience are stretched, as whoever has such snapshots would configure it.
void draw_rare(Dice& d, Plan& plan) {
    if (!d.percent(8)) return;
    const auto stretch = std::max<std::int64_t>(
        1, std::min(static_cast<std::int64_t>(d.between(2, 20)), seconds(240).ns / plan.faults_end.ns));
    const auto later_on = [&](Instant& t) { t.ns *= stretch; };
    later_on(plan.faults_end);
    plan.stray_interval = plan.stray_interval * stretch;
    for (Blackout& b : plan.blackouts) later_on(b.from), later_on(b.until);
    for (Narrow& n : plan.narrows) later_on(n.from), later_on(n.until);
    for (HostPlan& h : plan.host) {
        if (h.takes_cuts && !h.on_demand && h.config.policy == DurabilityPolicy::snapshot)
            h.cut_interval = any_time(d, seconds(3), seconds(60));
        h.udp_interval = h.udp_interval * stretch;
        for (Instant& at : h.crash_at) later_on(at);
        for (Card& c : h.cards) later_on(c.at);
        // The peer of such a host waits for its commits, too.
        h.config.tcp.synack_give_up = seconds(7200);
        h.config.tcp.syn_cookie_lifetime = seconds(600);
    }
    for (ConnectionPlan& c : plan.connections) {
        later_on(c.start);
        if (c.kind == Kind::request_response) {
            c.up = header_bytes + 2 * c.request;
            c.down = 2 * std::uint64_t{c.response};
        } else {
            c.up = std::min<std::uint64_t>(c.up, 20'000), c.down = std::min<std::uint64_t>(c.down, 20'000);
        }
        for (SidePlan& s : c.side) {  // a window's worth for each commit
            s.max_segment = 0;
            if (s.receive_buffer != 0) s.receive_buffer = std::max(s.receive_buffer, 8192U);
            if (s.send_buffer != 0) s.send_buffer = std::max(s.send_buffer, 8192U);
        }
    }
}

/// Applications that read in other ways, and think for a while about what they have read; cards that are replaced, while connections last.
void draw_inside(Dice& d, Plan& plan) {
    const auto window = static_cast<std::uint64_t>(plan.faults_end.ns);
    for (HostPlan& h : plan.host) {
        for (std::uint64_t n = d.percent(20) ? d.between(1, 3) : 0; n != 0; --n)
            h.cards.push_back({{static_cast<std::int64_t>(d.below(window))}, static_cast<std::uint16_t>(d.between(1280, 1500))});
        std::sort(h.cards.begin(), h.cards.end(), [](const Card& a, const Card& b) { return a.at < b.at; });
        h.receives = d.percent(40);
        // Short, so that a path's old size is tried again within a run.
        if (d.percent(50)) h.config.ip.path_mtu_lifetime = any_time(d, milliseconds(100), seconds(20));
    }
    for (ConnectionPlan& c : plan.connections) {
        for (SidePlan& s : c.side) {
            if (d.percent(20)) s.handle_pause = any_time(d, microseconds(100), milliseconds(500));
        }
    }
}

/// A program that dies again and again, as in a crash loop.
void draw_loop(Dice& d, HostPlan& h, Instant faults_end) {
    if (h.life == Life::steady) return;
    h.crashes = static_cast<unsigned>(d.between(12, 80));
    h.downtime_max = one_of(d, {nanoseconds(0), milliseconds(1), milliseconds(100), seconds(1)});
    for (unsigned i = 0; i < h.crashes; ++i)
        h.crash_at.push_back({static_cast<std::int64_t>(d.below(static_cast<std::uint64_t>(faults_end.ns)))});
    std::sort(h.crash_at.begin(), h.crash_at.end());
}

/// What the others do not draw: crash loops; listeners that answer with cookies alone, and die; beside a journal, text that
/// waits for the snapshot; and somebody who guesses.
void draw_judged(Dice& d, Plan& plan) {
    const bool loops = d.percent(8), has_cookies = d.percent(8);
    for (HostPlan& h : plan.host) {
        if (loops) draw_loop(d, h, plan.faults_end);
        if (has_cookies) {
            h.config.tcp.listen_half_open = 1;
            for (const Place p : {Place::poll, Place::durable, Place::committed})
                if (h.life != Life::steady) h.crash_permille[static_cast<std::size_t>(p)] = 20;
        }
        h.sends_by_snapshot = h.config.policy == DurabilityPolicy::journal && d.percent(25);
    }
    if (!d.percent(25)) return;
    plan.has_attacker = true;
    if (plan.stray_interval.ns == 0) plan.stray_interval = any_time(d, milliseconds(1), milliseconds(200));
}

}  // namespace

Plan draw(std::uint64_t seed, Setting setting) {
    Dice d(seed);
    Plan plan;
    plan.seed = seed;
    plan.faults_end = {any_time(d, milliseconds(50), seconds(30)).ns};
    const bool many = d.one_in(6);
    const auto connections = static_cast<std::uint32_t>(many ? d.between(10, 40) : any_size(d, 1, 8));
    for (unsigned i = 0; i < 2; ++i) plan.host.push_back(draw_host(d, connections, plan.faults_end));
    for (unsigned i = 0; i < 2; ++i) plan.link.push_back(draw_line(d));
    for (std::uint64_t n = d.below(3); n != 0; --n) {
        const Instant from{
            static_cast<std::int64_t>(d.below(static_cast<std::uint64_t>(plan.faults_end.ns)))};
        plan.blackouts.push_back(
            {1, from, earlier(from + any_time(d, milliseconds(1), seconds(20)), plan.faults_end)});
    }
    for (std::uint32_t id = 1; id <= connections; ++id) {
        plan.connections.push_back(draw_connection(d, plan, id, many));
    }
    // From another stream of numbers: what comes from the first one stays as it is.
    if (setting == Setting::small) return plan;
    Dice more(seed ^ 0x6d6f'7265), outside(seed ^ 0x6f75'7473), journals(seed ^ 0x6a6f'7572);
    Dice inside(seed ^ 0x696e'7369), rare(seed ^ 0x7261'7265), control(seed ^ 0x6374'726c);
    draw_more(more, plan);
    draw_outside(outside, plan);
    draw_control(control, plan);
    draw_inside(inside, plan);
    draw_journals(journals, plan, setting == Setting::journal);
    draw_rare(rare, plan);
    Dice judged(seed ^ 0x6a75'6467);
    draw_judged(judged, plan);
    return plan;
}

}  // namespace keepnet::sim
