// A web server whose connections survive kill -9: HTTP on keepnet, on a TAP device, with a snapshot every few
// milliseconds. Start it again with the same --state and every connection goes on.
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include <fcntl.h>
#include <net/if.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <keepnet/checkpoint.hpp>
#include <keepnet/drivers/filter/pcap/pcap_filter.hpp>
#include <keepnet/drivers/tap/tap.hpp>
#include <keepnet/stack.hpp>

#include "event_loop.hpp"
#include "snapshotter.hpp"

namespace http_server {
namespace {

namespace checkpoint = keepnet::checkpoint;

struct Options {
    std::string tap = "keepnet0";
    std::string address = "fd00:6b6e::2";
    unsigned prefix = 64;
    std::string gateway;
    std::uint16_t port = 80;
    std::string state = "keepnet-state";
    bool fresh = false;
    unsigned snapshot_ms = 4;
    bool icmp_kick = false;
    std::string pcap;
    std::uint64_t print_bytes = 0;
};

template <typename T = void>
using Result = std::expected<T, std::string>;

std::unexpected<std::string> failed(const std::string& what) { return std::unexpected(what); }
std::unexpected<std::string> failed_errno(const std::string& what) {
    return failed(what + ": " + std::strerror(errno));
}

std::array<std::uint8_t, 32> entropy() {
    std::array<std::uint8_t, 32> bytes{};
    while (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    }
    return bytes;
}

// The stack's memory: untouched pages cost nothing.
Result<std::span<std::byte>> map_arena(const keepnet::StackConfig& config) {
    const auto bytes = keepnet::Stack::arena_bytes(config);
    void* at =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return failed_errno("arena of " + std::to_string(bytes) + " bytes");
    return std::span{static_cast<std::byte*>(at), bytes};
}

// One server for a state directory: two would roll each other's peers back.
Result<Fd> lock_state(const std::string& directory) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return failed_errno(directory);
    Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return failed_errno(directory);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? failed(directory + ": another server uses it")
                                    : failed_errno(directory);
    }
    return fd;
}

struct Devices {
    std::unique_ptr<keepnet::drivers::TapDevice> tap;
    std::unique_ptr<keepnet::drivers::PcapFilter> capture;
    [[nodiscard]] keepnet::LinkDevice& outer() const {
        if (capture) return *capture;
        return *tap;
    }
};

// The same each time, so that a server that starts afresh is found at the link address that its peers know.
keepnet::MacAddress mac_for(const keepnet::Ipv6Address& address) {
    return {{0x02, 0x6b, 0x6e, address.octets[13], address.octets[14], address.octets[15]}};
}

Result<Devices> open_devices(const Options& options) {
    Devices devices;
    const auto address = keepnet::parse_ipv6(options.address);
    if (!address) return failed("--address " + options.address + ": not an IPv6 address");
    auto tap = keepnet::drivers::TapDevice::open({.name = options.tap, .mac = mac_for(*address)});
    if (!tap) return failed(tap.error().message);
    devices.tap = std::move(*tap);
    if (options.pcap.empty()) return devices;
    auto capture = keepnet::drivers::PcapFilter::open(
        *devices.tap, {.path = options.pcap, .clock = [] { return keepnet::Instant{wall_clock_ns()}; }});
    if (!capture) return failed(capture.error());
    devices.capture = std::move(*capture);
    return devices;
}

// A kernel that has just seen us take the cable up throws away what it sends until it has started its queue;
// then a peer's answer to our first word would be lost, and with it the time until it retransmits.
void wait_until_running(const std::string& interface) {
    const Fd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    const auto give_up = clock_now() + keepnet::milliseconds(100);
    while (::ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0 &&
           (request.ifr_flags & IFF_RUNNING) == 0 && clock_now() < give_up) {
        ::usleep(200);
    }
}

struct Incarnation {
    keepnet::Stack stack;
    std::optional<std::vector<std::uint8_t>> blob;  ///< of the restored server; none: a new one
};

Result<Incarnation> restore_or_create(const Options& options, const keepnet::StackConfig& config,
                                      std::span<std::byte> arena, checkpoint::FileStore& store) {
    const auto now = clock_now();
    if (!options.fresh) {
        const auto refuse = [&](const std::string& why) {
            return failed(store.path() + ": " + why + "; to give it up and start afresh, add --fresh");
        };
        const auto snapshot = store.load();
        if (!snapshot && snapshot.error().code != checkpoint::Code::not_found)
            return refuse(snapshot.error().message);
        if (snapshot) {
            auto restored = checkpoint::restore(arena, config, *snapshot,
                                                {.now = now,
                                                 .wall_clock_ns = wall_clock_ns(),
                                                 .entropy = entropy(),
                                                 .icmp_kick = options.icmp_kick,
                                                 .arena_is_zeroed = true});
            if (!restored) return refuse(restored.error().message);
            for (auto& blob : restored->blobs) {
                if (blob.name == blob_name)
                    return Incarnation{std::move(restored->stack), std::move(blob.bytes)};
            }
            return refuse("it is a snapshot of another program");
        }
    }
    auto stack =
        keepnet::Stack::create(arena, config, {.now = now, .entropy = entropy(), .arena_is_zeroed = true});
    if (!stack) return failed(std::string(name(stack.error())));
    return Incarnation{std::move(*stack), std::nullopt};
}

// What is configured already (a restored stack has its addresses) stays as it is.
Result<> configure_addresses(keepnet::Stack& stack, keepnet::InterfaceIndex nic, const Options& options) {
    const auto address = keepnet::parse_ipv6(options.address);
    if (!address) return failed("--address " + options.address + ": not an IPv6 address");
    std::array<keepnet::AddressInfo, 16> known;
    const auto count = std::min(stack.addresses(known), known.size());
    bool present = false;
    for (const auto& info : std::span{known}.first(count)) present = present || info.address == *address;
    if (!present) {
        const auto added = stack.add_address(nic, *address, static_cast<std::uint8_t>(options.prefix));
        if (!added) return failed("--address " + options.address + ": " + std::string(name(added.error())));
    }
    if (options.gateway.empty()) return {};
    const auto gateway = keepnet::parse_ipv6(options.gateway);
    if (!gateway) return failed("--gateway " + options.gateway + ": not an IPv6 address");
    const auto routed = stack.add_route({}, 0, nic, *gateway);
    if (!routed) return failed("--gateway " + options.gateway + ": " + std::string(name(routed.error())));
    return {};
}

Result<> start_server(Server& server, keepnet::Stack& stack, const Incarnation& incarnation,
                      const Options& options, const std::string& snapshot_path) {
    if (!incarnation.blob) {
        const auto listening = server.listen({.port = options.port});
        if (!listening)
            return failed("port " + std::to_string(options.port) + ": " +
                          std::string(name(listening.error())));
        return {};
    }
    const auto loaded = server.load(*incarnation.blob, clock_now());
    if (!loaded) {
        return failed(snapshot_path + ": the server's own part: " + std::string(loaded.error()) +
                      "; to give it up and start afresh, add --fresh");
    }
    stack.ready(true);
    return {};
}

Result<> run(const Options& options) {
    keepnet::StackConfig config;
    config.policy = keepnet::DurabilityPolicy::snapshot;
    config.tcp.send_buffer = config.tcp.receive_buffer = 1024 * 1024;

    const auto signals = catch_termination();
    if (!signals) return failed(signals.error());
    const auto lock = lock_state(options.state);
    if (!lock) return failed(lock.error());
    auto store = checkpoint::FileStore::open(options.state + "/snapshot");
    if (!store) return failed(store.error().message);
    const auto devices = open_devices(options);
    if (!devices) return failed(devices.error());
    const auto arena = map_arena(config);
    if (!arena) return failed(arena.error());
    auto incarnation = restore_or_create(options, config, *arena, *store);
    if (!incarnation) return failed(incarnation.error());

    wait_until_running(options.tap);

    auto& stack = incarnation->stack;
    Server server(stack, {});
    const auto nic = stack.attach_device(devices->outer(), {});
    if (!nic) return failed(options.tap + ": " + std::string(name(nic.error())));
    if (const auto configured = configure_addresses(stack, *nic, options); !configured) return configured;
    if (const auto started = start_server(server, stack, *incarnation, options, store->path()); !started)
        return started;

    const std::string port = options.port == 80 ? "" : ":" + std::to_string(options.port);
    std::printf("serving http://[%s]%s/ on %s, restarts survived: %llu\n", options.address.c_str(),
                port.c_str(), options.tap.c_str(), static_cast<unsigned long long>(stack.restarts()));
    std::fflush(stdout);
    return run_event_loop(
        stack, server, *store, *signals,
        {.device_fd = devices->tap->fd(), .snapshot_interval = keepnet::milliseconds(options.snapshot_ms)});
}

// The first bytes of what GET /bytes/N sends, to compare with.
void print_bytes(std::uint64_t count) {
    std::array<std::uint8_t, 65536> block;
    for (std::uint64_t offset = 0; offset < count; offset += block.size()) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), count - offset));
        fill_bytes(offset, std::span{block}.first(n));
        if (std::fwrite(block.data(), 1, n, stdout) != n) return;
    }
}

}  // namespace
}  // namespace http_server

int main(int argc, char** argv) {
    http_server::Options options;
    CLI::App app{"A web server over keepnet whose connections survive kill -9"};
    app.add_option("--tap", options.tap, "TAP interface")->capture_default_str();
    app.add_option("--address", options.address, "IPv6 address of the server")->capture_default_str();
    app.add_option("--prefix", options.prefix, "prefix length")
        ->check(CLI::Range(1, 128))
        ->capture_default_str();
    app.add_option("--gateway", options.gateway, "default router");
    app.add_option("--port", options.port, "TCP port")->check(CLI::Range(1, 65535))->capture_default_str();
    app.add_option("--state", options.state, "directory of the snapshot")->capture_default_str();
    app.add_flag("--fresh", options.fresh, "give up what an earlier server left and start afresh");
    app.add_option("--snapshot-ms", options.snapshot_ms, "ms between two snapshots, at least")
        ->check(CLI::Range(0, 10'000))
        ->capture_default_str();
    app.add_flag("--icmp-kick", options.icmp_kick,
                 "after a restart, ask peers on the link by ICMPv6 for what they hold back");
    app.add_option("--pcap", options.pcap, "capture file of every frame");
    auto* print = app.add_option("--print-bytes", options.print_bytes,
                                 "write what GET /bytes/N sends to stdout, and end");
    CLI11_PARSE(app, argc, argv);
    if (*print) {
        http_server::print_bytes(options.print_bytes);
        return 0;
    }
    const auto ran = http_server::run(options);
    if (ran) return 0;
    std::fprintf(stderr, "http_server: %s\n", ran.error().c_str());
    return 1;
}
