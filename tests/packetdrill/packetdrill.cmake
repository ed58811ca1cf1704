# What the packetdrill tool loads (--so_filename): keepnet behind the tool's table of calls. One symbol is exported.
if(TARGET keepnet_posix)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/adapter/*.cpp)
    add_library(keepnet_packetdrill_parts STATIC ${sources})
    keepnet_compile_flags(keepnet_packetdrill_parts)
    target_include_directories(keepnet_packetdrill_parts PRIVATE ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(keepnet_packetdrill_parts PUBLIC keepnet_posix)
    set_target_properties(keepnet_packetdrill_parts PROPERTIES POSITION_INDEPENDENT_CODE ON)

    set(symbols ${CMAKE_CURRENT_LIST_DIR}/symbols.map)
    add_library(keepnet_packetdrill MODULE $<TARGET_OBJECTS:keepnet_packetdrill_parts>)
    keepnet_compile_flags(keepnet_packetdrill)
    target_link_libraries(keepnet_packetdrill PRIVATE keepnet_posix)
    target_link_options(keepnet_packetdrill PRIVATE -Wl,--version-script=${symbols})
    # What clang's sanitizers call is in the program alone.
    if(NOT KEEPNET_SANITIZE_FLAGS)
        target_link_options(keepnet_packetdrill PRIVATE -Wl,-z,defs)
    endif()
    set_target_properties(keepnet_packetdrill PROPERTIES OUTPUT_NAME keepnet-packetdrill LINK_DEPENDS ${symbols}
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})

    add_library(keepnet_packetdrill_preload MODULE ${CMAKE_CURRENT_LIST_DIR}/preload/getsockopt.cpp)
    keepnet_compile_flags(keepnet_packetdrill_preload)
    set_target_properties(keepnet_packetdrill_preload PROPERTIES OUTPUT_NAME keepnet-packetdrill-getsockopt
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})

    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
    keepnet_program(keepnet-test-packetdrill ${sources})
    keepnet_test_target(keepnet-test-packetdrill)
    target_compile_definitions(keepnet-test-packetdrill PRIVATE
        KEEPNET_PACKETDRILL_LIBRARY="$<TARGET_FILE:keepnet_packetdrill>")
    target_link_libraries(keepnet-test-packetdrill PRIVATE keepnet_packetdrill_parts ${support} ${catch_headers} ${catch_main})
    add_dependencies(keepnet-test-packetdrill keepnet_packetdrill)
    catch_discover_tests(keepnet-test-packetdrill TEST_PREFIX "packetdrill: " PROPERTIES LABELS packetdrill TIMEOUT 60)
endif()
