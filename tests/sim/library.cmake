# keepnet_sim_library(TARGET): the simulator without its main(). keepnet-sim and `keepnet sim` share one.
include_guard(GLOBAL)

find_package(CLI11 REQUIRED)

function(keepnet_sim_library target)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/*.cpp)
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/main.cpp)
    add_library(${target} STATIC ${sources} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../support/packet.cpp
        ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../support/owed.cpp)
    keepnet_compile_flags(${target})
    target_link_libraries(${target} PUBLIC CLI11::CLI11)
    target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/..
        ${KEEPNET_TREE_INCLUDE})
endfunction()

if(NOT TARGET keepnet_sim)
    keepnet_sim_library(keepnet_sim)
    target_link_libraries(keepnet_sim PUBLIC keepnet_core keepnet_checkpoint PRIVATE keepnet_schema)
endif()
