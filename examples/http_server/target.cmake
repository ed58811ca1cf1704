# The server itself, apart from the Linux shell around it.
find_package(Boost 1.81 REQUIRED)
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/logic/*.cpp)
add_library(keepnet_http_logic STATIC ${sources})
keepnet_compile_flags(keepnet_http_logic)
target_include_directories(keepnet_http_logic PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(keepnet_http_logic PUBLIC keepnet::core PRIVATE Boost::headers)
target_link_libraries(${target} PRIVATE keepnet_http_logic)
