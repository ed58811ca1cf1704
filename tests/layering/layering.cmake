# The rules that are checked from the sources and from the archive, and tests that the checks can fail.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(here ${CMAKE_CURRENT_SOURCE_DIR}/layering)

add_test(NAME "layering: sources" COMMAND Python3::Interpreter ${here}/check.py ${PROJECT_SOURCE_DIR})
add_test(NAME "layering: planted faults are found" COMMAND Python3::Interpreter ${here}/check_test.py)

# Each header alone, with this compiler; the public ones with clang too where the machine has it.
if(NOT KEEPNET_SANITIZE_FLAGS)
    add_test(NAME "layering: headers alone" COMMAND ${here}/headers.sh ${CMAKE_CXX_COMPILER} ${PROJECT_BINARY_DIR})
    set(header_tests "layering: headers alone")
    keepnet_find_cxx23(KEEPNET_CLANG clang++-19 clang++)
    if(KEEPNET_CLANG AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        add_test(NAME "layering: public headers alone, clang"
            COMMAND ${here}/headers.sh ${KEEPNET_CLANG} ${PROJECT_BINARY_DIR} include drivers)
        list(APPEND header_tests "layering: public headers alone, clang")
    endif()
    set_tests_properties(${header_tests} PROPERTIES LABELS layering TIMEOUT 900)
endif()

# What -O0 leaves in (tables of abstract classes) is not what is shipped.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT KEEPNET_SANITIZE_FLAGS)
    add_test(NAME "layering: symbols of the core" COMMAND ${here}/symbols.sh $<TARGET_FILE:keepnet_core>)
    add_test(NAME "layering: planted symbols are found" COMMAND ${here}/symbols_test.sh ${CMAKE_CXX_COMPILER})
    set_tests_properties("layering: symbols of the core" "layering: planted symbols are found" PROPERTIES LABELS layering)
endif()
add_test(NAME "layering: a tool is checked for what it must do" COMMAND ${CMAKE_COMMAND}
    -DWORK=${PROJECT_BINARY_DIR}/tools_test -DCXX=${CMAKE_CXX_COMPILER} -P ${here}/tools_test.cmake)
set_tests_properties("layering: sources" "layering: planted faults are found" "layering: a tool is checked for what it must do"
    PROPERTIES LABELS layering)
