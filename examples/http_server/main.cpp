// A web server whose connections survive kill -9: HTTP on keepnet, on a TAP device, with a snapshot every few
// milliseconds. Start it again with the same --state and every connection goes on.
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include <keepnet/drivers/filter/pcap/pcap_filter.hpp>
#include <keepnet/hosted/host.hpp>

#include "logic/server.hpp"
#include "tools/command_line.hpp"

namespace http_server {
namespace {

namespace hosted = keepnet::hosted;
using hosted::Result;
using keepnet::Instant;
using keepnet::SocketHandle;
using keepnet::Stack;

constexpr std::uint16_t default_port = 80;

struct Options {
    hosted::HostOptions host{.name = "http_server", .state = "keepnet-state"};
    std::optional<std::uint16_t> port{};  // none: the restored server's, or the default
    unsigned snapshot_ms = 4;
    std::string pcap{};
    std::uint64_t print_bytes = 0;
};

class HttpServer final : public hosted::Application {
  public:
    HttpServer(Stack& stack, std::optional<std::uint16_t> port) : server_(stack, {}), port_(port) {}

    Result<> start(Stack&) override {
        const auto port = port_.value_or(default_port);
        const auto listening = server_.listen({.port = port});
        if (!listening)
            return hosted::failed("port " + std::to_string(port) + ": " + std::string(name(listening.error())));
        return {};
    }
    Result<> resume(Stack&, keepnet::ByteView saved, Instant now) override {
        const auto loaded = server_.load(saved, now);
        if (!loaded) return hosted::failed(std::string(loaded.error()));
        return {};
    }
    void on_ready(Stack&, SocketHandle socket, Instant now) override { server_.on_ready(socket, now); }
    void on_time(Stack&, Instant now) override { server_.on_time(now); }
    Instant next_deadline() override { return server_.next_deadline(); }
    std::vector<std::uint8_t> save() override {
        std::vector<std::uint8_t> blob;
        server_.save(blob);
        return blob;
    }

  private:
    Server server_;
    std::optional<std::uint16_t> port_;
};

/// Where it listens, which a restored server knows better than its command line.
std::uint16_t port_of(const Stack& stack) {
    for (auto socket = stack.next_socket({}); socket; socket = stack.next_socket(socket)) {
        const auto info = stack.info(socket);
        if (info && info->phase == keepnet::TcpPhase::listen) return info->local.port;
    }
    return 0;
}

/// A capture of every frame, around the device.
hosted::Network::Wrap capture_into(const std::string& path) {
    if (path.empty()) return {};
    return [path](keepnet::LinkDevice& device) -> Result<std::shared_ptr<keepnet::LinkDevice>> {
        auto capture = keepnet::drivers::PcapFilter::open(
            device, {.path = path, .clock = [] { return Instant{hosted::wall_clock_ns()}; }});
        if (!capture) return hosted::failed(capture.error());
        return std::shared_ptr<keepnet::drivers::PcapFilter>(std::move(*capture));
    };
}

Result<> run(Options options) {
    auto& config = options.host.config;
    config.tcp.send_buffer = config.tcp.receive_buffer = 1024 * 1024;
    options.host.snapshot_interval = keepnet::milliseconds(options.snapshot_ms);
    options.host.wrap = capture_into(options.pcap);
    const auto opened = hosted::Host::open(options.host);
    if (!opened) return std::unexpected(opened.error());
    auto& host = **opened;

    HttpServer server(host.stack(), options.port);
    if (const auto begun = host.begin(server); !begun) return begun;
    const auto port = port_of(host.stack());
    if (options.port && *options.port != port) {
        return hosted::failed("--port " + std::to_string(*options.port) + ": the state in " + host.origin().name +
                              " serves port " + std::to_string(port) +
                              "; leave the option away, or give the state up with --fresh");
    }
    const std::string suffix = port == default_port ? "" : ":" + std::to_string(port);
    std::printf("serving http://[%s]%s/ on %s, restarts survived: %llu\n", host.network().address_text().c_str(),
                suffix.c_str(), options.host.network.tap.c_str(),
                static_cast<unsigned long long>(host.stack().restarts()));
    std::fflush(stdout);
    return host.run(server);
}

// The first bytes of what GET /bytes/N sends, to compare with.
Result<> print_bytes(std::uint64_t count) {
    std::array<std::uint8_t, 65536> block;
    for (std::uint64_t offset = 0; offset < count; offset += block.size()) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), count - offset));
        fill_bytes(offset, std::span{block}.first(n));
        if (std::fwrite(block.data(), 1, n, stdout) != n) return hosted::failed_errno("stdout");
    }
    if (std::fflush(stdout) != 0) return hosted::failed_errno("stdout");
    return {};
}

}  // namespace
}  // namespace http_server

int main(int argc, char** argv) {
    using keepnet::hosted::ExitStatus;
    http_server::Options options;
    auto& network = options.host.network;
    CLI::App app{"A web server over keepnet whose connections survive kill -9", "http_server"};
    app.add_option("--tap", network.tap, "TAP interface")->capture_default_str();
    app.add_option("--address", network.address, "IPv6 address of the server [fd00:6b6e::2]");
    app.add_option("--prefix", network.prefix, "prefix length [64]")->check(CLI::Range(1, 128));
    app.add_option("--gateway", network.gateway, "default router");
    app.add_option("--port", options.port, "TCP port [80]")->check(CLI::Range(1, 65535));
    app.add_option("--state", options.host.state, "directory of the snapshot")->capture_default_str();
    app.add_flag("--fresh", options.host.fresh, "give up what an earlier server left and start afresh");
    app.add_option("--snapshot-ms", options.snapshot_ms, "ms between two snapshots, at least")
        ->check(CLI::Range(0, 10'000))
        ->capture_default_str();
    app.add_flag("--icmp-kick", options.host.icmp_kick,
                 "after a restart, ask peers on the link by ICMPv6 for what they hold back");
    app.add_flag("--private-link", network.private_link,
                 "no other host is on the link: the address is usable at once");
    app.add_option("--pcap", options.pcap, "capture file of every frame");
    auto* print = app.add_option("--print-bytes", options.print_bytes,
                                 "write what GET /bytes/N sends to stdout, and end")
                      ->check(CLI::Validator(keepnet::tool::is_natural, "NUMBER"));
    app.footer("What a restored server has, its address and its port above all, it keeps: an option that says otherwise is an error.");
    return keepnet::tool::run_command_line(app, argc, argv, [&]() -> keepnet::hosted::Result<ExitStatus> {
        const auto ran = *print ? http_server::print_bytes(options.print_bytes) : http_server::run(options);
        if (!ran) return std::unexpected(ran.error());
        return ExitStatus::done;
    });
}
