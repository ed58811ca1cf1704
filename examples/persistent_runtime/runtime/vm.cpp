#include "vm.hpp"

#include <lua.hpp>

#include "natives.hpp"
#include "prelude.hpp"

namespace persistent_runtime {
namespace {

constexpr const char* turn_key = "persistent_runtime.turn";

void* allocate(void* owner, void* block, std::size_t old_bytes, std::size_t new_bytes) {
    // The arena's object is another in every process: what the interpreter remembers is where the pointer to
    // it lies.
    auto& arena = **static_cast<Arena**>(owner);
    if (new_bytes != 0) return arena.resize(block, old_bytes, new_bytes);
    arena.release(block, old_bytes);
    return nullptr;
}

// What the arena's root points to.
struct Root {
    Arena* arena;
    lua_State* state;
};

// What a script can use; not io, os, package and debug: they reach for things that are in no image.
void open_libraries(lua_State* L) {
    constexpr luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},       {LUA_COLIBNAME, luaopen_coroutine},
                                      {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},
                                      {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8}};
    for (const auto& library : libraries) {
        luaL_requiref(L, library.name, library.func, 1);
        lua_pop(L, 1);
    }
}

struct Program {
    const std::string& script;
    const std::string& name;
    const std::vector<std::string>& arguments;
};

// Everything up to the script's first line; errors come out as Lua's.
int prepare(lua_State* L) {
    const auto& program = *static_cast<const Program*>(lua_touserdata(L, 1));
    open_libraries(L);
    lua_newtable(L);
    lua_pushstring(L, program.name.c_str());
    lua_seti(L, -2, 0);
    lua_Integer index = 0;
    for (const auto& argument : program.arguments) {
        lua_pushlstring(L, argument.data(), argument.size());
        lua_seti(L, -2, ++index);
    }
    lua_setglobal(L, "arg");

    if (luaL_loadbufferx(L, prelude.data(), prelude.size(), prelude_name, "t") != LUA_OK) return lua_error(L);
    push_natives(L);
    lua_call(L, 1, 2);  // turn, start
    lua_pushvalue(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, turn_key);
    const auto chunk = "@" + program.name;
    if (luaL_loadbufferx(L, program.script.data(), program.script.size(), chunk.c_str(), "t") != LUA_OK) {
        return lua_error(L);
    }
    int arguments = 0;
    for (const auto& argument : program.arguments) {
        luaL_checkstack(L, 1, "arguments");
        lua_pushlstring(L, argument.data(), argument.size());
        ++arguments;
    }
    lua_call(L, 1 + arguments, 0);
    return 0;
}

std::string take_message(lua_State* L) {
    const char* text = lua_tostring(L, -1);
    std::string message = text != nullptr ? text : "an error that is no string";
    lua_settop(L, 0);
    return message;
}

}  // namespace

std::expected<Vm, std::string> Vm::create(Arena& arena, Host& host, const std::string& script,
                                          const std::string& name,
                                          const std::vector<std::string>& arguments) {
    set_host(&host);
    auto* root = static_cast<Root*>(arena.allocate(sizeof(Root)));
    *root = {.arena = &arena, .state = nullptr};
    arena.set_root(root);
    root->state = lua_newstate(allocate, &root->arena);
    if (root->state == nullptr) return std::unexpected("no memory for an interpreter");
    const Program program{.script = script, .name = name, .arguments = arguments};
    lua_pushcfunction(root->state, prepare);
    lua_pushlightuserdata(root->state, const_cast<Program*>(&program));
    if (lua_pcall(root->state, 1, 0, 0) != LUA_OK) return std::unexpected(take_message(root->state));
    lua_settop(root->state, 0);
    return Vm(root->state);
}

Vm Vm::adopt(Arena& arena, Host& host) {
    set_host(&host);
    auto* root = static_cast<Root*>(arena.root());
    root->arena = &arena;
    return Vm(root->state);
}

std::expected<TurnResult, std::string> Vm::turn(Event event, keepnet::SocketHandle socket) {
    const auto failed = [&] { return std::unexpected(take_message(state_)); };
    lua_getfield(state_, LUA_REGISTRYINDEX, turn_key);
    lua_pushinteger(state_, static_cast<lua_Integer>(event));
    lua_pushinteger(state_, static_cast<lua_Integer>(socket.raw));
    if (lua_pcall(state_, 2, 3, 0) != LUA_OK) return failed();
    TurnResult result;
    if (lua_isnil(state_, 1) == 0) result.next_deadline = {lua_tointeger(state_, 1)};
    result.tasks = static_cast<std::uint64_t>(lua_tointeger(state_, 2));
    result.failed = lua_toboolean(state_, 3) != 0;
    lua_settop(state_, 0);
    return result;
}

}  // namespace persistent_runtime
