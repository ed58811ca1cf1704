# `cmake --install`: headers, libraries, a package for find_package(keepnet) and one for pkg-config.
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY KEEPNET_LIBRARIES)
install(TARGETS ${libraries} keepnet_keepnet EXPORT keepnet-targets)
install(EXPORT keepnet-targets NAMESPACE keepnet:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/keepnet)

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

set(KEEPNET_NEEDS_CAPNPROTO OFF)
set(KEEPNET_NEEDS_BOOST OFF)
set(KEEPNET_NEEDS_THREADS OFF)
set(KEEPNET_PC_REQUIRES "")
if(TARGET keepnet_checkpoint)
    set(KEEPNET_NEEDS_CAPNPROTO ON)
    set(KEEPNET_PC_REQUIRES "capnp")
endif()
if(TARGET keepnet_asio)
    set(KEEPNET_NEEDS_BOOST ON)
endif()
if(TARGET keepnet_asio OR TARGET keepnet_posix)
    set(KEEPNET_NEEDS_THREADS ON)
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

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/keepnet-config.cmake.in
    ${PROJECT_BINARY_DIR}/keepnet-config.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/keepnet)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/keepnet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/keepnet-config.cmake ${PROJECT_BINARY_DIR}/keepnet-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/keepnet)

file(RELATIVE_PATH KEEPNET_PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/keepnet.pc.in ${PROJECT_BINARY_DIR}/keepnet.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/keepnet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
