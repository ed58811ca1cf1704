# What is installed, or fetched, is enough for a program outside the tree. (A sanitizer's archive asks for its library.)
if(KEEPNET_INSTALL AND NOT KEEPNET_SANITIZE_FLAGS)
    foreach(kind package components c pkg-config subproject)
        add_test(NAME "install: ${kind}" COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/install/test.sh ${PROJECT_BINARY_DIR}
            ${CMAKE_CXX_COMPILER} ${kind} ${CMAKE_C_COMPILER})
        set_tests_properties("install: ${kind}" PROPERTIES LABELS install TIMEOUT 600)
    endforeach()
endif()
