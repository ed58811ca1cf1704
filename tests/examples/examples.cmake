# The examples' own logic, under virtual time.
if(TARGET keepnet_http_logic AND TARGET keepnet_checkpoint)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
    keepnet_program(keepnet-test-examples ${sources})
    keepnet_test_target(keepnet-test-examples)
    target_link_libraries(keepnet-test-examples PRIVATE keepnet_http_logic ${catch_headers} ${catch_main})
    catch_discover_tests(keepnet-test-examples TEST_PREFIX "examples: " PROPERTIES LABELS unit TIMEOUT 300)
endif()
