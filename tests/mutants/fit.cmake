# Whoever changes a source changes what the list says of it: in every build, since it takes no compiler.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME "mutants: each fits its source" COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/plant.py
    ${CMAKE_CURRENT_LIST_DIR} ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_BINARY_DIR}/mutants-fit)
set_tests_properties("mutants: each fits its source" PROPERTIES LABELS mutants)
