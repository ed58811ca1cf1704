# What all programs have in common.
if(TARGET keepnet_tool AND TARGET keepnet_lua_runtime AND TARGET keepnet_hosted AND TARGET keepnet_filter_pcap)
    add_test(NAME "programs: command lines"
        COMMAND ${CMAKE_CURRENT_LIST_DIR}/command_lines.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    set_tests_properties("programs: command lines" PROPERTIES LABELS examples TIMEOUT 900)
endif()
