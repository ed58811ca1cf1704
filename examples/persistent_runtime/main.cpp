// An orthogonally persistent Lua runtime: kill it at any instant, start it again with the same --state, and
// the script goes on in the middle of its loop, its connections included. The script saves nothing and
// restores nothing.
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <net/if.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <keepnet/checkpoint.hpp>
#include <keepnet/drivers/tap/tap.hpp>
#include <keepnet/stack.hpp>

#include "runtime/arena.hpp"
#include "runtime/image.hpp"
#include "runtime/log.hpp"
#include "runtime/program.hpp"
#include "runtime/vm.hpp"
#include "runtime/world.hpp"

namespace persistent_runtime {
namespace {

namespace checkpoint = keepnet::checkpoint;
using keepnet::drivers::TapDevice;

struct Options {
    std::string tap;
    std::string address = "fd00:6b6e::2";
    unsigned prefix = 64;
    std::string gateway;
    std::string state = "runtime.image";
    bool fresh = false;
    std::string policy = "snapshot";
    std::optional<unsigned> interval_ms;
    std::string pmem;
    [[nodiscard]] bool is_journaled() const { return policy == "journal"; }
    std::string script;
    std::vector<std::string> arguments;
};

template <typename T = void>
using Result = std::expected<T, std::string>;

std::unexpected<std::string> failed(const std::string& what) { return std::unexpected(what); }
std::unexpected<std::string> failed_errno(const std::string& what) {
    return failed(what + ": " + std::strerror(errno));
}
std::string text(keepnet::Error error) { return std::string(name(error)); }

std::array<std::uint8_t, 32> entropy() {
    std::array<std::uint8_t, 32> bytes{};
    while (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    }
    return bytes;
}

// The stack's memory: untouched pages cost nothing. The process that writes an image does not need it.
Result<std::span<std::byte>> map_stack_arena(const keepnet::StackConfig& config) {
    const auto bytes = keepnet::Stack::arena_bytes(config);
    void* at =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED || ::madvise(at, bytes, MADV_DONTFORK) != 0)
        return failed_errno("memory for the stack");
    return std::span{static_cast<std::byte*>(at), bytes};
}

// What a killed runtime held is free when its last process is gone, which may take a moment.
template <typename Try>
auto with_patience(Try attempt) {
    for (int i = 0; i < 100; ++i) {
        if (auto result = attempt(); result) return result;
        ::usleep(10'000);
    }
    return attempt();
}

// One runtime for a state: two would roll each other's peers back. The lock is beside the image, which is
// replaced.
Result<int> lock_state(const std::string& state) {
    const auto path = state + ".lock";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return failed_errno(path);
    const auto locked = with_patience([fd] { return ::flock(fd, LOCK_EX | LOCK_NB) == 0; });
    if (!locked) return failed(state + ": another runtime uses it");
    return fd;  // until the process ends
}

// The same each time, so that a script that starts afresh is found at the link address that its peers know.
keepnet::MacAddress mac_for(const keepnet::Ipv6Address& address) {
    return {{0x02, 0x6b, 0x6e, address.octets[13], address.octets[14], address.octets[15]}};
}

Result<std::unique_ptr<TapDevice>> open_tap(const Options& options) {
    const auto address = keepnet::parse_ipv6(options.address);
    if (!address) return failed("--address " + options.address + ": not an IPv6 address");
    const auto open = [&] { return TapDevice::open({.name = options.tap, .mac = mac_for(*address)}); };
    auto tap = open();
    if (!tap && tap.error().error == keepnet::drivers::TapError::busy) tap = with_patience(open);
    if (!tap) return failed(tap.error().message);
    return std::move(*tap);
}

// A kernel that has just seen us take the cable up throws away what it sends until it has started its queue.
void wait_until_running(const std::string& interface) {
    const int socket = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    for (int i = 0; i < 500 && ::ioctl(socket, SIOCGIFFLAGS, &request) == 0 &&
                    (request.ifr_flags & IFF_UP) != 0 && (request.ifr_flags & IFF_RUNNING) == 0;
         ++i) {
        ::usleep(200);
    }
    ::close(socket);
}

Result<int> catch_termination() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0) {
        if (const int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK); fd >= 0) return fd;
    }
    return failed_errno("signalfd");
}

// What is configured already (a restored stack has its addresses) stays as it is.
Result<> configure_addresses(keepnet::Stack& stack, keepnet::InterfaceIndex nic, const Options& options) {
    const auto address = keepnet::parse_ipv6(options.address);
    std::array<keepnet::AddressInfo, 16> known;
    const auto count = std::min(stack.addresses(known), known.size());
    bool present = false;
    for (const auto& info : std::span{known}.first(count)) present = present || info.address == *address;
    if (!present) {
        const auto added = stack.add_address(nic, *address, static_cast<std::uint8_t>(options.prefix));
        if (!added) return failed("--address " + options.address + ": " + text(added.error()));
    }
    if (options.gateway.empty()) return {};
    const auto gateway = keepnet::parse_ipv6(options.gateway);
    if (!gateway) return failed("--gateway " + options.gateway + ": not an IPv6 address");
    const auto routed = stack.add_route({}, 0, nic, *gateway);
    if (!routed) return failed("--gateway " + options.gateway + ": " + text(routed.error()));
    return {};
}

std::string title_of(const Options& options) {
    std::string title = options.script;
    for (const auto& argument : options.arguments) title += ' ' + argument;
    if (title.size() <= title_bytes_max) return title;
    const auto digest = std::to_string(std::hash<std::string>{}(title));
    return title.substr(0, title_bytes_max - digest.size() - 5) + " ... " + digest;
}

struct Life {
    std::optional<Image> image;  ///< none: it begins
    Clock clock;
    keepnet::Duration away{};
};

Result<Life> load_life(const Options& options, Arena& arena) {
    Life life;
    if (options.fresh) return life;
    const auto refuse = [](const std::string& why) {
        return failed(why + "; to give it up and start afresh, add --fresh");
    };
    auto image = load_image(options.state, arena);
    if (!image) return refuse(image.error());
    if (!*image) return life;
    life.image = std::move(*image);
    const auto& info = life.image->info;
    if (info.title != title_of(options))
        return refuse(options.state + ": it is the image of \"" + info.title + '"');
    if (life.image->snapshot.empty() != options.tap.empty()) {
        return refuse(options.state + (options.tap.empty() ? ": it has a network" : ": it has no network"));
    }
    life.away = std::max(keepnet::Duration{wall_clock_ns() - info.wall_clock_ns}, keepnet::Duration{0});
    life.clock = Clock({info.runtime_now_ns}, life.away);
    return life;
}

// A life that begins leaves nothing of the journal before it; its first image has to be durable before
// anything is said.
Result<std::unique_ptr<Log>> open_log(const Options& options, const Life& life) {
    LogConfig config{.path = options.state + ".journal"};
    if (!options.pmem.empty()) config = {.path = options.pmem, .is_persistent_memory = true};
    return life.image ? Log::open(config) : Log::create(config);
}

Result<keepnet::Stack> make_stack(const Options& options, const Life& life,
                                  const keepnet::StackConfig& config, std::span<std::byte> arena,
                                  keepnet::Journal* journal) {
    const auto now = life.clock.now();
    if (life.image) {
        auto restored = checkpoint::restore(arena, config, life.image->snapshot,
                                            {.now = now,
                                             .elapsed = life.away,
                                             .entropy = entropy(),
                                             .icmp_kick = true,
                                             .journal = journal,
                                             .arena_is_zeroed = true});
        if (!restored) return failed(options.state + ": the stack's part: " + restored.error().message);
        return std::move(restored->stack);
    }
    auto stack =
        keepnet::Stack::create(arena, config, {.now = now, .entropy = entropy(), .arena_is_zeroed = true});
    if (!stack) return failed(text(stack.error()));
    if (journal != nullptr) {
        if (const auto attached = stack->attach_journal(*journal); !attached)
            return failed(text(attached.error()));
    }
    return std::move(*stack);
}

// Script and stack were frozen in the same instant, so that every socket there is belongs to the script.
void claim_all(keepnet::Stack& stack) {
    for (auto socket = stack.next_socket({}); socket; socket = stack.next_socket(socket))
        (void)stack.claim(socket);
    stack.ready(true);
}

Result<std::string> read_script(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return failed_errno(path);
    std::string script{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (file.bad()) return failed_errno(path);
    return script;
}

Result<Vm> make_vm(const Options& options, const Life& life, Arena& arena, World& world) {
    if (life.image) return Vm::adopt(arena, world);
    const auto script = read_script(options.script);
    if (!script) return failed(script.error());
    return Vm::create(arena, world, *script, options.script, options.arguments);
}

Result<Ending> run(const Options& options) {
    const auto signals = catch_termination();
    if (!signals) return failed(signals.error());
    const auto lock = lock_state(options.state);
    if (!lock) return failed(lock.error());
    std::unique_ptr<TapDevice> tap;
    if (!options.tap.empty()) {
        auto opened = open_tap(options);
        if (!opened) return failed(opened.error());
        tap = std::move(*opened);
    }
    auto arena = Arena::map();
    if (!arena) return failed(arena.error());
    const auto life = load_life(options, *arena);
    if (!life) return failed(life.error());
    World world(life->clock);

    keepnet::StackConfig config;
    config.policy =
        options.is_journaled() ? keepnet::DurabilityPolicy::journal : keepnet::DurabilityPolicy::snapshot;
    std::unique_ptr<Log> log;
    std::optional<keepnet::Stack> stack;
    if (tap) {
        const auto stack_arena = map_stack_arena(config);
        if (!stack_arena) return failed(stack_arena.error());
        if (options.is_journaled()) {
            auto opened = open_log(options, *life);
            if (!opened) return failed(opened.error());
            log = std::move(*opened);
            world.set_journal(&log->journal());
        }
        auto made = make_stack(options, *life, config, *stack_arena, log ? &log->journal() : nullptr);
        if (!made) return failed(made.error());
        stack.emplace(std::move(*made));
        world.set_stack(&*stack);
    }
    auto vm = make_vm(options, *life, *arena, world);
    if (!vm) return failed(vm.error());

    Program program(stack ? &*stack : nullptr, *arena, *vm, world,
                    {.state = options.state,
                     .title = title_of(options),
                     .images = life->image ? life->image->info.number : 0,
                     .last_image = {life->image ? life->image->info.runtime_now_ns : life->clock.now().ns},
                     .interval = keepnet::milliseconds(options.interval_ms.value_or(log ? 10'000 : 20)),
                     .log = log.get(),
                     .device_fd = tap ? tap->fd() : -1,
                     .signal_fd = *signals,
                     .done_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)});
    if (tap) {
        wait_until_running(options.tap);
        const auto nic = stack->attach_device(*tap, {});
        if (!nic) return failed(options.tap + ": " + text(nic.error()));
        if (const auto configured = configure_addresses(*stack, *nic, options); !configured)
            return failed(configured.error());
        if (life->image) claim_all(*stack);
    }
    if (!life->image) {
        if (const auto saved = program.save(); !saved) return failed(saved.error());
    }
    return program.run();
}

}  // namespace
}  // namespace persistent_runtime

int main(int argc, char** argv) {
    persistent_runtime::Options options;
    CLI::App app{"Runs a Lua script that survives kill -9, connections included"};
    app.add_option("--tap", options.tap, "TAP interface; without it: no network");
    app.add_option("--address", options.address, "IPv6 address of the script")->capture_default_str();
    app.add_option("--prefix", options.prefix, "prefix length")
        ->check(CLI::Range(1, 128))
        ->capture_default_str();
    app.add_option("--gateway", options.gateway, "default router");
    app.add_option("--state", options.state, "file of the image")->capture_default_str();
    app.add_flag("--fresh", options.fresh, "give up what an earlier run left and start afresh");
    app.add_option("--policy", options.policy,
                   "what lets output out: an image, or the journal between images")
        ->check(CLI::IsMember({"snapshot", "journal"}))
        ->capture_default_str();
    app.add_option("--interval", options.interval_ms,
                   "ms between two images, at least; 20, with a journal 10000")
        ->check(CLI::Range(0, 3'600'000));
    app.add_option("--pmem", options.pmem, "the journal, mapped: a file of persistent memory");
    app.add_option("script", options.script, "Lua program")->required();
    app.add_option("arguments", options.arguments, "of the script");
    app.prefix_command();  // what follows the script is the script's
    CLI11_PARSE(app, argc, argv);
    using persistent_runtime::Ending;
    const auto ran = persistent_runtime::run(options);
    if (!ran) std::fprintf(stderr, "persistent_runtime: %s\n", ran.error().c_str());
    return ran && *ran != Ending::script_failed ? 0 : 1;
}
