# The rules that are checked from the sources and from the archive, and tests that the checks can fail.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(here ${CMAKE_CURRENT_SOURCE_DIR}/layering)

add_test(NAME "layering: sources" COMMAND Python3::Interpreter ${here}/check.py ${PROJECT_SOURCE_DIR})
add_test(NAME "layering: planted faults are found" COMMAND Python3::Interpreter ${here}/check_test.py)

# Each header alone, with this compiler; clang too where the machine has it.
set(header_compilers ${CMAKE_CXX_COMPILER})
find_program(KEEPNET_CLANG NAMES clang++-19 clang++)
if(KEEPNET_CLANG AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    list(APPEND header_compilers ${KEEPNET_CLANG})
endif()
if(NOT KEEPNET_SANITIZE_FLAGS)
    foreach(compiler ${header_compilers})
        get_filename_component(name ${compiler} NAME)
        add_test(NAME "layering: headers alone (${name})"
            COMMAND ${here}/headers.sh ${compiler} ${PROJECT_SOURCE_DIR}/include ${KEEPNET_TREE_INCLUDE})
        set_tests_properties("layering: headers alone (${name})" PROPERTIES LABELS layering TIMEOUT 600)
    endforeach()
endif()

# What -O0 leaves in (tables of abstract classes) is not what is shipped.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT KEEPNET_SANITIZE_FLAGS)
    add_test(NAME "layering: symbols of the core" COMMAND ${here}/symbols.sh $<TARGET_FILE:keepnet_core>)
    add_test(NAME "layering: planted symbols are found" COMMAND ${here}/symbols_test.sh ${CMAKE_CXX_COMPILER})
    set_tests_properties("layering: symbols of the core" "layering: planted symbols are found" PROPERTIES LABELS layering)
endif()
set_tests_properties("layering: sources" "layering: planted faults are found" PROPERTIES LABELS layering)
