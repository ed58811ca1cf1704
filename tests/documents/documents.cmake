# Examples in comments and pages.
if(TARGET keepnet_hosted AND TARGET keepnet_asio AND TARGET keepnet_posix AND NOT KEEPNET_SANITIZE_FLAGS)
    add_test(NAME "docs: examples compile" COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/examples.py
        ${CMAKE_CXX_COMPILER} ${PROJECT_BINARY_DIR})
    set_tests_properties("docs: examples compile" PROPERTIES LABELS docs TIMEOUT 300)
endif()
