# `cmake --install`: headers, libraries, a package for find_package(keepnet) and one for pkg-config. Each library is a component
# with an export of its own, so that a program which wants the core alone needs nothing that the others need.
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY KEEPNET_LIBRARIES)
set(KEEPNET_COMPONENTS "")
set(KEEPNET_COMPONENT_NEEDS "")
foreach(library ${libraries})
    string(REGEX REPLACE "^keepnet_" "" name ${library})
    list(APPEND KEEPNET_COMPONENTS ${name})
    get_property(components TARGET ${library} PROPERTY KEEPNET_COMPONENTS)
    get_property(packages TARGET ${library} PROPERTY KEEPNET_PACKAGES)
    string(APPEND KEEPNET_COMPONENT_NEEDS "set(_keepnet_${name}_components \"${components}\")\n"
        "set(_keepnet_${name}_packages \"${packages}\")\n")
    install(TARGETS ${library} EXPORT keepnet-${name})
    install(EXPORT keepnet-${name} NAMESPACE keepnet:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/keepnet)
endforeach()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/keepnet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/drivers DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/keepnet
    FILES_MATCHING PATTERN "*.hpp")
file(GLOB checkpoint_schemas CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/checkpoint/*.capnp)
if(checkpoint_schemas)
    install(FILES ${checkpoint_schemas} DESTINATION ${CMAKE_INSTALL_DATADIR}/keepnet)
endif()
if(TARGET keepnet_tool)
    install(TARGETS keepnet_tool)
endif()

# The libraries are archives of C++: a linker that a C compiler calls has to be told of its library.
set(KEEPNET_PC_REQUIRES "")
if(TARGET keepnet_checkpoint)
    set(KEEPNET_PC_REQUIRES "capnp")
endif()
if(TARGET keepnet_filter_pcap)
    string(APPEND KEEPNET_PC_REQUIRES " libpcap")
endif()

# What a program must link, dependants before what they need.
set(KEEPNET_PC_LIBS "")
foreach(library ${libraries})
    get_target_property(type ${library} TYPE)
    if(NOT type STREQUAL "INTERFACE_LIBRARY")
        string(PREPEND KEEPNET_PC_LIBS "-l${library} ")
    endif()
endforeach()
string(PREPEND KEEPNET_PC_LIBS "-Wl,-u,keepnet_assertion_is_printed ")
string(APPEND KEEPNET_PC_LIBS "-lstdc++ -lm")

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/keepnet-config.cmake.in
    ${PROJECT_BINARY_DIR}/keepnet-config.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/keepnet)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/keepnet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/keepnet-config.cmake ${PROJECT_BINARY_DIR}/keepnet-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/keepnet)

file(RELATIVE_PATH KEEPNET_PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/keepnet.pc.in ${PROJECT_BINARY_DIR}/keepnet.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/keepnet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
