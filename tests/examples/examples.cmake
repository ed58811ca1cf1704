# The examples' own logic, under virtual time.
if(TARGET keepnet_http_logic AND TARGET keepnet_checkpoint)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
    keepnet_program(keepnet-test-examples ${sources})
    keepnet_test_target(keepnet-test-examples)
    target_link_libraries(keepnet-test-examples PRIVATE keepnet_http_logic ${catch_headers} ${catch_main})
    catch_discover_tests(keepnet-test-examples TEST_PREFIX "examples: " PROPERTIES LABELS examples TIMEOUT 300)
endif()

# The freestanding example is a test: it runs, and with the core it needs no symbol but the four of every compiler.
if(TARGET keepnet_example_freestanding)
    add_test(NAME "examples: freestanding runs" COMMAND keepnet_example_freestanding)
    set_tests_properties("examples: freestanding runs" PROPERTIES LABELS examples TIMEOUT 60)
    if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT KEEPNET_SANITIZE_FLAGS)
        add_test(NAME "examples: freestanding needs no library"
            COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/examples/needs_nothing.sh $<TARGET_FILE:keepnet_core>
                $<TARGET_OBJECTS:keepnet_example_freestanding_objects>)
        set_tests_properties("examples: freestanding needs no library" PROPERTIES LABELS examples)
    endif()
endif()

# The persistent runtime: its memory and its image, and the program without a network.
if(TARGET keepnet_lua_runtime)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/persistent_runtime/*.cpp)
    keepnet_program(keepnet-test-runtime ${sources})
    keepnet_test_target(keepnet-test-runtime)
    target_link_libraries(keepnet-test-runtime PRIVATE keepnet_lua_runtime ${catch_headers} ${catch_main})
    target_link_options(keepnet-test-runtime PRIVATE -Wl,--build-id=sha1)
    add_dependencies(keepnet-test-runtime keepnet_example_persistent_runtime)
    catch_discover_tests(keepnet-test-runtime TEST_PREFIX "examples: runtime: " PROPERTIES LABELS examples TIMEOUT 300)
    add_test(NAME "examples: runtime: killed without a network"
        COMMAND ${CMAKE_CURRENT_LIST_DIR}/persistent_runtime/kill.py $<TARGET_FILE:keepnet_example_persistent_runtime>)
    set_tests_properties("examples: runtime: killed without a network" PROPERTIES LABELS examples TIMEOUT 120)
endif()

# A C program on the POSIX interface.
if(TARGET keepnet_posix AND TARGET keepnet_example_posix_echo)
    add_test(NAME "examples: posix_echo runs" COMMAND keepnet_example_posix_echo)
    set_tests_properties("examples: posix_echo runs" PROPERTIES LABELS examples TIMEOUT 60
        PASS_REGULAR_EXPRESSION "^the net in which an angler keeps the catch alive\n$")
endif()
