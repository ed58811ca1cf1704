# What the targets of keepnet have in common.

set(KEEPNET_WARNINGS -Wall -Wextra -Wconversion -Wshadow)
if(KEEPNET_WERROR)
    list(APPEND KEEPNET_WARNINGS -Werror)
endif()

set(KEEPNET_SANITIZE_FLAGS "")
if(KEEPNET_SANITIZE)
    list(APPEND KEEPNET_SANITIZE_FLAGS -fsanitize=${KEEPNET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
        -D_GLIBCXX_ASSERTIONS)
    # The core has no RTTI, so a driver cannot ask the objects that the core made for their type.
    list(APPEND KEEPNET_SANITIZE_FLAGS -fno-sanitize=vptr)
endif()
if(KEEPNET_FUZZ)
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "KEEPNET_FUZZ needs clang: libFuzzer is part of it")
    endif()
    list(APPEND KEEPNET_SANITIZE_FLAGS -fsanitize=fuzzer-no-link)
endif()

# `#include <keepnet/drivers/NAME/x.hpp>` is the same line in this tree and after an installation.
set(KEEPNET_TREE_INCLUDE ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${KEEPNET_TREE_INCLUDE}/keepnet)
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/drivers ${KEEPNET_TREE_INCLUDE}/keepnet/drivers SYMBOLIC)

# Everything that the libraries' export carries, in the order in which it was made.
set_property(GLOBAL PROPERTY KEEPNET_LIBRARIES "")

# Flags of every target of ours, library or program.
function(keepnet_compile_flags target)
    target_compile_features(${target} PRIVATE cxx_std_23)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
    target_compile_options(${target} PRIVATE ${KEEPNET_WARNINGS} ${KEEPNET_SANITIZE_FLAGS})
    target_link_options(${target} PRIVATE ${KEEPNET_SANITIZE_FLAGS})
endfunction()

# keepnet_library(NAME SOURCES...): the target keepnet_NAME, alias keepnet::NAME; without a source an interface library.
# It is a component of the package: keepnet_needs() says which other packages its users must have.
function(keepnet_library name)
    set(target keepnet_${name})
    if(ARGN)
        add_library(${target} STATIC ${ARGN})
        keepnet_compile_flags(${target})
        set(scope PUBLIC)
    else()
        add_library(${target} INTERFACE)
        set(scope INTERFACE)
    endif()
    add_library(keepnet::${name} ALIAS ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
    target_compile_features(${target} ${scope} cxx_std_23)
    target_include_directories(${target} ${scope}
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
        $<BUILD_INTERFACE:${KEEPNET_TREE_INCLUDE}>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    set_property(GLOBAL APPEND PROPERTY KEEPNET_LIBRARIES ${target})
endfunction()

# keepnet_needs(NAME COMPONENTS COMPONENT... PACKAGES PACKAGE...): what find_package(keepnet COMPONENTS NAME) brings along;
# a package with its version is one word ("Boost 1.81").
function(keepnet_needs name)
    cmake_parse_arguments(needs "" "" "COMPONENTS;PACKAGES" ${ARGN})
    set_property(TARGET keepnet_${name} PROPERTY KEEPNET_COMPONENTS ${needs_COMPONENTS})
    set_property(TARGET keepnet_${name} PROPERTY KEEPNET_PACKAGES ${needs_PACKAGES})
endfunction()

# PUBLIC or INTERFACE, whichever a library made by keepnet_library takes.
function(keepnet_scope target out)
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "INTERFACE_LIBRARY")
        set(${out} INTERFACE PARENT_SCOPE)
    else()
        set(${out} PUBLIC PARENT_SCOPE)
    endif()
endfunction()

# keepnet_program(TARGET SOURCES...): a program of this tree; it may look into src/ and write "drivers/x/y.hpp".
function(keepnet_program target)
    add_executable(${target} ${ARGN})
    keepnet_compile_flags(${target})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
endfunction()
