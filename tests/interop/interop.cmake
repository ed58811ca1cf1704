# The keepnet side of the iperf3 test.
if(TARGET keepnet_tap)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/iperf3/*.cpp)
    keepnet_program(keepnet-iperf3 ${sources})
    target_link_libraries(keepnet-iperf3 PRIVATE keepnet::keepnet)
endif()
