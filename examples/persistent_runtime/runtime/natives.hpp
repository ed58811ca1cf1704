// The functions under prelude.lua: the socket calls of keepnet, the clock, files. None blocks; each returns
// its result, or nil and the name of the error. A byte changes sides inside of one of them, and no copy of
// the arena is taken while Lua code is under way.
#pragma once

#include "vm.hpp"

namespace persistent_runtime {

/// Leaves the table of them on the interpreter's stack.
void push_natives(lua_State* L);
/// Whom they ask. Not in the arena: it is another in every process.
void set_host(Host* host);
/// What a script's chunk and prelude.lua are called in messages.
inline constexpr const char* prelude_name = "=prelude";

}  // namespace persistent_runtime
