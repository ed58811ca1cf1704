// All that a server on Linux needs around itself: its state in a directory, which one process has at a time; a stack,
// restored from there or new; a TAP interface; a loop that polls, sleeps, takes snapshots, and suspends in order on SIGTERM.
// After kill -9 the next process goes on.
//
//     struct Echo final : hosted::Application {
//         hosted::Result<> start(Stack& stack) override { return hosted::listen(stack, {.port = 7}); }
//         void on_ready(Stack& stack, SocketHandle socket, Instant) override { serve(stack, socket); }
//     };
//     auto host = hosted::Host::open({.name = "echo", .state = "echo-state", .network = {.tap = "echo0"}});
//     Echo echo;
//     return (*host)->run(echo);
//
// examples/hello is the whole of such a program. One with a loop of its own takes the pieces: system.hpp, network.hpp,
// snapshotter.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <keepnet/checkpoint.hpp>
#include <keepnet/hosted/main.hpp>
#include <keepnet/hosted/network.hpp>
#include <keepnet/hosted/system.hpp>
#include <keepnet/stack.hpp>

namespace keepnet::hosted {

struct HostOptions {
    std::string name{};              ///< of the program; the state of another one is refused
    std::string state{};             ///< directory, made if it is missing; the snapshot lies in it
    bool fresh = false;              ///< gives up what is there
    NetworkOptions network{};
    Network::Wrap wrap{};            ///< a filter around the device
    StackConfig config = durable();  ///< of the stack, new or restored
    bool icmp_kick = false;          ///< RestoreOptions::icmp_kick
    Duration snapshot_interval = milliseconds(4);  ///< between two, at least
    Duration suspend_max = seconds(10);            ///< how long the end at SIGTERM may take
    /// SIGTERM and SIGINT are for run() from open() on. False: they are the program's, and it does not call run().
    bool catch_signals = true;

    /// DurabilityPolicy::snapshot for every socket.
    static StackConfig durable() {
        StackConfig config;
        config.policy = DurabilityPolicy::snapshot;
        return config;
    }
};

/// A program between two snapshots: called by Host::run() alone, on its thread, and never while a snapshot is cut, so that
/// what one of these functions does is in the next one whole, or not at all.
class Application {
  public:
    /// Life begins: open what listens.
    virtual Result<> start(Stack& stack) = 0;
    /// Life goes on: `saved` is what save() gave. Claims what is the program's own; the rest is closed. As it is written
    /// here, for a program that knows all it needs from its sockets: everything is claimed, and is ready once.
    virtual Result<> resume(Stack& stack, ByteView saved, Instant now);
    /// News of a socket. Go on until would_block: it is not told twice.
    virtual void on_ready(Stack& stack, SocketHandle socket, Instant now) = 0;
    virtual void on_time(Stack&, Instant) {}
    /// When on_time() is to be called; never: not.
    virtual Instant next_deadline() { return never; }
    /// The program's own state, in the instant of a cut.
    virtual std::vector<std::uint8_t> save() { return {}; }

    Application(const Application&) = delete;
    Application& operator=(const Application&) = delete;

  protected:
    Application() = default;
    ~Application() = default;
};

/// Opens, binds and listens.
Result<> listen(Stack& stack, const Endpoint& local, std::uint32_t backlog = 128);

class Host {
  public:
    /// Locks the state, opens the interface, restores the stack or makes one.
    static Result<std::unique_ptr<Host>> open(HostOptions options);
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host();

    [[nodiscard]] Stack& stack() { return *stack_; }
    [[nodiscard]] Network& network() { return *network_; }
    [[nodiscard]] checkpoint::FileStore& store() { return *store_; }
    /// What was saved with the state, by the program; nothing: the stack is a new one.
    [[nodiscard]] const std::optional<std::vector<std::uint8_t>>& restored() const { return restored_; }
    /// The state's file, for what is said about it.
    [[nodiscard]] Origin origin() const { return {.name = store_->path()}; }

    /// start() or resume(), and ready(). run() does so unless it is done already.
    Result<> begin(Application& application);
    /// Until SIGTERM or SIGINT, then suspends in order. An error: it ended without that.
    Result<> run(Application& application);

    /// For a program that drives the stack itself (an io_context): takes a snapshot and waits until it is durable.
    Result<> save(std::vector<std::uint8_t> saved = {});

  private:
    explicit Host(HostOptions options) : options_(std::move(options)) {}
    Result<> restore();

    HostOptions options_;
    Fd signals_{};
    Fd lock_{};
    std::optional<checkpoint::FileStore> store_{};
    std::unique_ptr<Network> network_{};
    std::optional<Arena> arena_{};
    std::optional<Stack> stack_{};
    std::optional<std::vector<std::uint8_t>> restored_{};
    bool begun_ = false;
};

}  // namespace keepnet::hosted
