# The interpreter and its image, apart from the program around them. Lua is linked statically, the build of it that
# reports errors as C++ exceptions, and the program lies at a fixed address: its functions are named in the image.
find_path(LUA54_INCLUDE lua.hpp PATH_SUFFIXES lua5.4 NO_CACHE)
find_library(LUA54_CXX_STATIC liblua5.4-c++.a NO_CACHE)
find_package(Threads REQUIRED)
if(NOT LUA54_INCLUDE OR NOT LUA54_CXX_STATIC OR NOT TARGET keepnet_tap)
    message(STATUS "persistent_runtime is not built: it needs liblua5.4-dev, CLI11 and the TAP driver")
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL TRUE)
    return()
endif()

file(READ ${CMAKE_CURRENT_LIST_DIR}/runtime/prelude.lua prelude)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/runtime/prelude.lua)
configure_file(${CMAKE_CURRENT_LIST_DIR}/runtime/prelude.cpp.in ${CMAKE_CURRENT_BINARY_DIR}/prelude.cpp @ONLY)

file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/runtime/*.cpp)
add_library(keepnet_lua_runtime STATIC ${sources} ${CMAKE_CURRENT_BINARY_DIR}/prelude.cpp)
keepnet_compile_flags(keepnet_lua_runtime)
target_include_directories(keepnet_lua_runtime PUBLIC ${CMAKE_CURRENT_LIST_DIR} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/runtime)
target_include_directories(keepnet_lua_runtime SYSTEM PRIVATE ${LUA54_INCLUDE})
target_link_libraries(keepnet_lua_runtime PUBLIC keepnet::keepnet Threads::Threads PRIVATE ${LUA54_CXX_STATIC} m)

target_link_libraries(${target} PRIVATE keepnet_lua_runtime)
target_compile_options(${target} PRIVATE -fno-pie)
target_link_options(${target} PRIVATE -no-pie -Wl,--build-id=sha1)
