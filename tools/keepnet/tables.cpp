#include <algorithm>
#include <ctime>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <string>

#include "commands.hpp"
#include "files.hpp"
#include "inspect.hpp"

namespace keepnet::tool {
namespace {

std::string text_of(const Ipv6Address& a) {
    char buffer[ipv6_text_max];
    return std::string(format(a, buffer));
}
std::string text_of(const MacAddress& a) {
    char buffer[mac_text_max];
    return std::string(format(a, buffer));
}
std::string text_of(const Endpoint& e) {
    if (e == Endpoint{}) return "*";
    std::string text = "*";
    if (!e.address.is_unspecified()) text = std::string("[").append(text_of(e.address)).append("]");
    if (e.address.is_link_local()) text.append("%").append(std::to_string(e.interface));
    return text.append(":").append(e.port == 0 ? "*" : std::to_string(e.port));
}
std::string text_of(Duration d) {
    const std::int64_t ms = d.ms();
    return ms < 10'000 && ms > -10'000 ? std::to_string(ms) + "ms" : std::to_string(ms / 1000) + "s";
}

/// Columns as wide as their widest cell.
class Table {
  public:
    explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
    void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
    [[nodiscard]] bool empty() const { return rows_.size() == 1; }
    void print(std::ostream& out, std::string_view title) const {
        out << '\n' << title << ": " << rows_.size() - 1 << '\n';
        if (empty()) return;
        std::vector<std::size_t> widths(rows_.front().size());
        for (const auto& row : rows_) {
            for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
        }
        for (const auto& row : rows_) {
            std::string line = " ";
            for (std::size_t i = 0; i < row.size(); ++i) {
                line += ' ' + row[i] + std::string(widths[i] - row[i].size() + 1, ' ');
            }
            line.erase(line.find_last_not_of(' ') + 1);
            out << line << '\n';
        }
    }

  private:
    std::vector<std::vector<std::string>> rows_{};
};

std::string printable(std::string_view name) {
    std::string text;
    for (const char c : name) text += c >= 0x20 && c < 0x7f ? c : '?';
    return text;
}

std::string timers_of(const TcpTimers& t, Instant cut) {
    const auto& [retransmit, persist, delayed_ack, keep_alive, time_wait, user_timeout, cork, pace] = t;
    std::string text;
    const auto add = [&](const char* name, Deadline deadline) {
        if (deadline == never) return;
        if (!text.empty()) text += ' ';
        text.append(name).append("+").append(text_of(deadline - cut));
    };
    add("rexmit", retransmit), add("persist", persist), add("delack", delayed_ack), add("keep", keep_alive);
    add("2msl", time_wait), add("user", user_timeout), add("cork", cork), add("pace", pace);
    return text.empty() ? "-" : text;
}

std::string_view name(NeighborPhase phase) {
    switch (phase) {
        case NeighborPhase::invalid: return "invalid";
        case NeighborPhase::incomplete: return "incomplete";
        case NeighborPhase::reachable: return "reachable";
        case NeighborPhase::stale: return "stale";
        case NeighborPhase::delay: return "delay";
        case NeighborPhase::probe: return "probe";
    }
    return "invalid";
}
std::string_view name(AddressStatus status) {
    switch (status) {
        case AddressStatus::invalid: return "invalid";
        case AddressStatus::tentative: return "tentative";
        case AddressStatus::optimistic: return "optimistic";
        case AddressStatus::preferred: return "preferred";
        case AddressStatus::deprecated: return "deprecated";
        case AddressStatus::duplicate: return "duplicate";
    }
    return "invalid";
}

std::string hex(std::uint64_t n) {
    char text[20];
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(n));
    return text;
}

void print_head(std::ostream& out, const checkpoint::Decoder& decoder, std::size_t bytes, const World& w) {
    const auto& header = decoder.header();
    out << "snapshot of cut " << header.record.cut << ", format " << decoder.layers().back().envelope.major << '.'
        << decoder.layers().back().envelope.minor << ", " << bytes << " bytes, " << header.epoch
        << (header.epoch == 1 ? " restart\n" : " restarts\n");
    if (const auto layers = decoder.layers().size(); layers > 1) {
        out << "from a base and " << layers - 1 << (layers == 2 ? " increment\n" : " increments\n");
    }
    if (header.wall_clock_ns) {
        const std::time_t seconds = *header.wall_clock_ns / 1'000'000'000;
        std::tm utc{};
        if (::gmtime_r(&seconds, &utc) != nullptr) out << "taken " << std::put_time(&utc, "%F %T UTC") << '\n';
    }
    out << "packet buffers in use: " << w.pool.in_use() << ", bytes queued in " << w.slice_nodes.in_use()
        << " pieces\n";
}

void print_network(std::ostream& out, const World& w, Instant cut) {
    Table interfaces({"NO", "MAC", "MTU"});
    w.interfaces.for_each([&](std::uint32_t, const InterfaceState& s) {
        interfaces.row({std::to_string(s.index), text_of(s.mac), std::to_string(s.mtu)});
    });
    interfaces.print(out, "interfaces");
    Table addresses({"ADDRESS", "IF", "STATUS"});
    w.addresses.for_each([&](std::uint32_t, const AddressState& s) {
        addresses.row({text_of(s.address) + "/" + std::to_string(s.prefix_length), std::to_string(s.interface),
                       std::string(name(static_cast<AddressStatus>(s.status)))});
    });
    addresses.print(out, "addresses");
    Table routes({"PREFIX", "IF", "NEXT HOP"});
    w.routes.for_each([&](std::uint32_t, const RouteState& s) {
        routes.row({text_of(s.prefix) + "/" + std::to_string(s.prefix_length), std::to_string(s.interface),
                    s.next_hop.is_unspecified() ? "on-link" : text_of(s.next_hop)});
    });
    routes.print(out, "routes");
    Table neighbors({"ADDRESS", "IF", "MAC", "STATE", "TIMER", "WAITING"});
    w.neighbors.for_each([&](std::uint32_t, const NeighborState& s) {
        neighbors.row({text_of(s.address), std::to_string(s.interface),
                       s.phase == NeighborPhase::incomplete ? "-" : text_of(s.mac), std::string(name(s.phase)),
                       s.timer == never ? "-" : std::string("+") + text_of(s.timer - cut), std::to_string(s.pending_count)});
    });
    neighbors.print(out, "neighbours");
}

std::vector<std::string> connection_row(std::string handle, const TcpConnectionState& c, Instant cut) {
    return {std::move(handle),
            "tcp",
            std::string(keepnet::name(c.phase)),
            text_of(c.local),
            text_of(c.remote),
            std::to_string(c.receive_queue.bytes),
            std::to_string(c.send_queue.bytes),
            std::string(keepnet::name(c.policy)),
            timers_of(c.timers, cut)};
}

void print_sockets(std::ostream& out, const World& w, Instant cut) {
    const std::vector<std::string> head{"HANDLE", "KIND", "STATE", "LOCAL", "REMOTE", "RECV-Q", "SEND-Q", "POLICY",
                                        "TIMERS"};
    Table sockets(head);
    w.sockets.for_each([&](std::uint32_t i, const SocketState& s) {
        const std::string handle = hex(w.sockets.handle_of(i).raw);
        if (const TcpConnectionState* c = w.connections.find(s.connection)) {
            return sockets.row(connection_row(handle, *c, cut));
        }
        std::vector<std::string> row{handle, "tcp", "closed", text_of(s.local), text_of(s.remote), "0", "0",
                                     std::string(keepnet::name(s.options.policy)), "-"};
        if (const TcpListenerState* l = w.listeners.find(s.listener)) {
            row[2] = "listen";
            row[5] = std::to_string(l->accept_count);
            row[6] = std::to_string(l->backlog);
        }
        if (const UdpSocketState* u = w.udp_sockets.find(s.udp)) {
            row[1] = "udp";
            row[2] = std::string("-");
            row[5] = std::to_string(u->receive_count);
            row[6] = std::to_string(u->held_count);
        }
        sockets.row(row);
    });
    sockets.print(out, "sockets");
    Table others(head);
    w.connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        if (!c.socket) others.row(connection_row(c.tombstone ? "ended" : c.listener ? "queued" : "orphan", c, cut));
    });
    others.print(out, "connections without a socket");
}

}  // namespace

void print_tables(std::ostream& out, const checkpoint::Decoder& decoder, std::size_t bytes, World& w,
                  const std::vector<checkpoint::Blob>& blobs) {
    const Instant cut = decoder.header().record.taken;
    print_head(out, decoder, bytes, w);
    print_network(out, w, cut);
    print_sockets(out, w, cut);
    Table table({"NAME", "BYTES"});
    for (const auto& blob : blobs) table.row({printable(blob.name), std::to_string(blob.bytes.size())});
    table.print(out, "blobs");
}

std::expected<std::string, checkpoint::Failure> inspect(const std::string& argument, bool json) {
    auto chain = ChainFiles::read(argument);
    if (!chain) return std::unexpected(chain.error());
    const auto state = State::decode(std::move(*chain));
    if (!state) return std::unexpected(state.error());
    std::ostringstream out;
    if (!json) {
        print_tables(out, state->decoder, state->chain.bytes(), state->core->world, state->blobs);
        return out.str();
    }
    if (state->chain.files.size() == 1) {
        print_json(out, state->decoder, state->blobs);
        return out.str();
    }
    // The frames of a chain are those of the one snapshot that it comes to.
    checkpoint::VectorSink sink;
    if (auto ok = checkpoint::compact(state->chain.views(), sink); !ok) return std::unexpected(ok.error());
    const auto decoder = checkpoint::Decoder::open(sink.bytes);
    if (!decoder) return std::unexpected(decoder.error());
    print_json(out, *decoder, state->blobs);
    return out.str();
}

}  // namespace keepnet::tool
