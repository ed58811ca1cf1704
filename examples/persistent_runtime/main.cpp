// An orthogonally persistent Lua runtime: kill it at any instant, start it again with the same --state, and
// the script goes on in the middle of its loop, its connections included. The script saves nothing and
// restores nothing.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/eventfd.h>
#include <CLI/CLI.hpp>

#include <keepnet/checkpoint.hpp>
#include <keepnet/hosted/network.hpp>
#include <keepnet/hosted/system.hpp>
#include <keepnet/stack.hpp>

#include "runtime/arena.hpp"
#include "runtime/image.hpp"
#include "runtime/log.hpp"
#include "runtime/program.hpp"
#include "runtime/vm.hpp"
#include "runtime/world.hpp"
#include "tools/command_line.hpp"

namespace persistent_runtime {
namespace {

namespace checkpoint = keepnet::checkpoint;
namespace hosted = keepnet::hosted;
using hosted::failed;
using hosted::Result;

constexpr const char* journal_policy = "journal";
constexpr const char* default_policy = "snapshot";

struct Options {
    hosted::NetworkOptions network{.tap = ""};
    std::string state = "runtime.image";
    bool fresh = false;
    std::string policy{};  ///< empty: the image's, or the default
    std::optional<unsigned> interval_ms{};
    std::string pmem{};
    std::string script{};
    std::vector<std::string> arguments{};
    [[nodiscard]] bool has_network() const { return !network.tap.empty(); }
};

std::string text(keepnet::Error error) { return std::string(name(error)); }

/// An error of the runtime's own modules.
std::unexpected<hosted::Failure> failed_as(const std::string& error) { return failed(error); }

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

/// What was asked for and is not so.
std::string contradiction(const Options& options, const ImageInfo& has) {
    if (has.title != title_of(options)) return "it is the image of \"" + has.title + '"';
    if (!options.policy.empty() && options.policy != has.policy)
        return "--policy " + options.policy + ": the image has policy " + has.policy;
    if (!options.pmem.empty() && options.pmem != has.pmem) {
        return "--pmem " + options.pmem + ": the image's journal is in " +
               (has.pmem.empty() ? options.state + ".journal" : has.pmem);
    }
    return {};
}

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
    if (const auto why = contradiction(options, info); !why.empty()) return refuse(options.state + ": " + why);
    if (life.image->snapshot.empty() == options.has_network())
        return refuse(options.state + (options.has_network() ? ": it has no network" : ": it has a network"));
    life.away =
        std::max(keepnet::Duration{hosted::wall_clock_ns() - info.wall_clock_ns}, keepnet::Duration{0});
    life.clock = Clock({info.runtime_now_ns}, life.away);
    return life;
}

// A life that begins leaves nothing of the journal before it; its first image has to be durable before
// anything is said.
Result<std::unique_ptr<Log>> open_log(const std::string& state, const std::string& pmem, bool is_new) {
    LogConfig config{.path = state + ".journal"};
    if (!pmem.empty()) config = {.path = pmem, .is_persistent_memory = true};
    auto log = is_new ? Log::create(config) : Log::open(config);
    if (!log) return failed_as(log.error());
    return std::move(*log);
}

Result<keepnet::Stack> make_stack(const Options& options, const Life& life,
                                  const keepnet::StackConfig& config, std::span<std::byte> arena,
                                  keepnet::Journal* journal) {
    const auto now = life.clock.now();
    if (life.image) {
        auto restored = checkpoint::restore(arena, config, life.image->snapshot,
                                            {.now = now,
                                             .elapsed = life.away,
                                             .entropy = hosted::entropy(),
                                             .icmp_kick = true,
                                             .journal = journal,
                                             .arena_is_zeroed = true});
        if (!restored) return failed(options.state + ": the stack's part: " + restored.error().message);
        return std::move(restored->stack);
    }
    auto stack =
        keepnet::Stack::create(arena, config, {.now = now, .entropy = hosted::entropy(), .arena_is_zeroed = true});
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

Result<Vm> make_vm(const Options& options, const Life& life, Arena& arena, World& world) {
    auto made = [&]() -> std::expected<Vm, std::string> {
        if (life.image) return Vm::adopt(arena, world);
        const auto script = hosted::read_file(options.script);
        if (!script) return std::unexpected(script.error().message);
        return Vm::create(arena, world, {script->begin(), script->end()}, options.script, options.arguments);
    }();
    if (!made) return failed_as(made.error());
    return std::move(*made);
}

/// Options without a meaning beside the others.
Result<> check(const Options& options) {
    if (!options.pmem.empty() && options.policy != journal_policy)
        return hosted::wrong_usage("--pmem " + options.pmem + ": there is no journal without --policy journal");
    if (options.has_network()) return {};
    const auto alone = [](const std::string& option) {
        return hosted::wrong_usage(option + ": there is no network without --tap");
    };
    if (options.network.address) return alone("--address " + *options.network.address);
    if (options.network.prefix) return alone("--prefix " + std::to_string(*options.network.prefix));
    if (options.network.gateway) return alone("--gateway " + *options.network.gateway);
    if (options.network.private_link) return alone("--private-link");
    if (options.policy == journal_policy) return alone("--policy journal");
    return {};
}

Result<Ending> run(const Options& options) {
    if (const auto checked = check(options); !checked) return std::unexpected(checked.error());
    const auto signals = hosted::catch_termination();
    if (!signals) return std::unexpected(signals.error());
    const auto lock = hosted::lock_file(options.state + ".lock", "runtime");
    if (!lock) return std::unexpected(lock.error());
    std::unique_ptr<hosted::Network> network;
    if (options.has_network()) {
        auto opened = hosted::Network::open(options.network, {});
        if (!opened) return std::unexpected(opened.error());
        network = std::move(*opened);
    }
    auto arena = Arena::map();
    if (!arena) return failed_as(arena.error());
    const auto life = load_life(options, *arena);
    if (!life) return std::unexpected(life.error());
    World world(life->clock);
    const ImageInfo asked{.policy = options.policy.empty() ? default_policy : options.policy, .pmem = options.pmem};
    const ImageInfo& is = life->image ? life->image->info : asked;
    const bool is_journaled = is.policy == journal_policy;

    keepnet::StackConfig config;
    config.policy = is_journaled ? keepnet::DurabilityPolicy::journal : keepnet::DurabilityPolicy::snapshot;
    std::optional<hosted::Arena> stack_arena;
    std::unique_ptr<Log> log;
    std::optional<keepnet::Stack> stack;
    if (network) {
        // The process that writes an image does not need it.
        auto mapped = hosted::Arena::map(keepnet::Stack::arena_bytes(config), hosted::Arena::OnFork::left_out);
        if (!mapped) return std::unexpected(mapped.error());
        stack_arena = std::move(*mapped);
        if (is_journaled) {
            auto opened = open_log(options.state, is.pmem, !life->image);
            if (!opened) return std::unexpected(opened.error());
            log = std::move(*opened);
            world.set_journal(&log->journal());
        }
        auto made = make_stack(options, *life, config, stack_arena->bytes(), log ? &log->journal() : nullptr);
        if (!made) return std::unexpected(made.error());
        stack.emplace(std::move(*made));
        world.set_stack(&*stack);
    }
    auto vm = make_vm(options, *life, *arena, world);
    if (!vm) return std::unexpected(vm.error());

    Program program(stack ? &*stack : nullptr, *arena, *vm, world,
                    {.state = options.state,
                     .title = title_of(options),
                     .policy = is.policy,
                     .pmem = is.pmem,
                     .images = life->image ? life->image->info.number : 0,
                     .last_image = {life->image ? life->image->info.runtime_now_ns : life->clock.now().ns},
                     .interval = keepnet::milliseconds(options.interval_ms.value_or(log ? 10'000 : 20)),
                     .log = log.get(),
                     .device_fd = network ? network->fd() : -1,
                     .signal_fd = signals->get(),
                     .done_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)});
    if (network) {
        if (const auto attached = network->attach(*stack, {.name = options.state}); !attached)
            return std::unexpected(attached.error());
        if (life->image) claim_all(*stack);
    }
    if (!life->image) {
        if (const auto saved = program.save(); !saved) return failed_as(saved.error());
    }
    const auto ended = program.run();
    if (!ended) return failed_as(ended.error());
    return *ended;
}

}  // namespace
}  // namespace persistent_runtime

int main(int argc, char** argv) {
    using keepnet::hosted::ExitStatus;
    persistent_runtime::Options options;
    auto& network = options.network;
    CLI::App app{"Runs a Lua script that survives kill -9, connections included", "persistent_runtime"};
    app.add_option("--tap", network.tap, "TAP interface; without it: no network");
    app.add_option("--address", network.address, "IPv6 address of the script [fd00:6b6e::2]");
    app.add_option("--prefix", network.prefix, "prefix length [64]")->check(CLI::Range(1, 128));
    app.add_option("--gateway", network.gateway, "default router");
    app.add_flag("--private-link", network.private_link,
                 "no other host is on the link: the address is usable at once");
    app.add_option("--state", options.state, "file of the image")->capture_default_str();
    app.add_flag("--fresh", options.fresh, "give up what an earlier run left and start afresh");
    app.add_option("--policy", options.policy,
                   "what lets output out: an image, or the journal between images [snapshot]")
        ->check(CLI::IsMember({persistent_runtime::default_policy, persistent_runtime::journal_policy}));
    app.add_option("--interval", options.interval_ms,
                   "ms between two images, at least; 20, with a journal 10000")
        ->check(CLI::Range(0, 3'600'000));
    app.add_option("--pmem", options.pmem, "the journal, mapped: a file of persistent memory");
    app.add_option("script", options.script, "Lua program")->required();
    app.add_option("arguments", options.arguments, "of the script; ones that begin with - come behind --");
    app.footer("What the image of a script has, its address and its policy above all, it keeps: an option that says otherwise is an error.");
    return keepnet::tool::run_command_line(app, argc, argv, [&]() -> keepnet::hosted::Result<ExitStatus> {
        using persistent_runtime::Ending;
        const auto ran = persistent_runtime::run(options);
        if (!ran) return std::unexpected(ran.error());
        return *ran == Ending::script_failed ? ExitStatus::failed : ExitStatus::done;
    });
}
