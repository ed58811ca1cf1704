// A Lua interpreter that is a value: all of it lies in the arena, its coroutines and what they wait for
// included. The tasks of a script are coroutines; a call that blocks hands its coroutine to the scheduler
// (prelude.lua), and turn() lets every task run that an event woke. Between two turns no Lua code is under
// way: there a copy may be taken.
//
// What a script can see of the world comes through Host alone, so that a host which repeats its answers
// repeats the run.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <keepnet/stack.hpp>
#include <keepnet/time.hpp>

#include "arena.hpp"

struct lua_State;

namespace persistent_runtime {

/// The world as scripts see it.
class Host {
  public:
    /// The stack, or nullptr: no network.
    virtual keepnet::Stack* stack() = 0;
    virtual keepnet::Instant now() = 0;
    /// A number nobody can guess.
    virtual std::uint64_t random() = 0;
    /// Up to `bytes` of a file at `offset`; no value: it cannot be read.
    virtual std::optional<std::string> read_file(const std::string& path, std::uint64_t offset,
                                                 std::size_t bytes) = 0;
    /// Bytes of a regular file; no value: there is none.
    virtual std::optional<std::uint64_t> file_bytes(const std::string& path) = 0;
    /// What a script prints.
    virtual void write(std::string_view text) = 0;
    /// What it did wrong.
    virtual void complain(std::string_view text) = 0;

    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

  protected:
    Host() = default;
    ~Host() = default;
};

/// What happened. Numbers are part of a journal: nothing is ever renumbered.
enum class Event : std::uint8_t {
    invalid = 0,
    socket = 1,  ///< the socket's readiness changed
    time = 2,    ///< look at the clock; tasks that were interrupted go on
    all = 3,     ///< nobody knows what happened meanwhile: every task that waits looks again
};

struct TurnResult {
    keepnet::Instant next_deadline =
        keepnet::never;       ///< of the tasks that sleep; in the past: some can run on
    std::uint64_t tasks = 0;  ///< that have not ended
    bool failed = false;      ///< the script's main task ended with an error
};

class Vm {
  public:
    /// A new interpreter in an empty arena, about to run the first line of `script`. The error says where the
    /// script is no Lua. Only one Vm is alive in a process, since there is one arena; `arena` and `host` stay
    /// where they are.
    static std::expected<Vm, std::string> create(Arena& arena, Host& host, const std::string& script,
                                                 const std::string& name,
                                                 const std::vector<std::string>& arguments);
    /// The one that is in the arena, where it was.
    static Vm adopt(Arena& arena, Host& host);

    /// Runs until every task waits, or has had its share. An error is the runtime's own end: no memory.
    std::expected<TurnResult, std::string> turn(Event event, keepnet::SocketHandle socket = {});

  private:
    explicit Vm(lua_State* state) : state_(state) {}
    lua_State* state_;
};

}  // namespace persistent_runtime
