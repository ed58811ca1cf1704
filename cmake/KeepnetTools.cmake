# Finding tools. What is found is checked for what it must do, and is looked for anew at each configuration (NO_CACHE):
# a better one that was installed later is taken, and nothing depends on what this folder was configured for first.

# keepnet_find_cxx23(OUT NAME...): the first of the compilers on the PATH that compiles C++23 as keepnet uses it; OUT-NOTFOUND
# when there is none.
function(keepnet_find_cxx23 out)
    set(${out} "${out}-NOTFOUND" PARENT_SCOPE)
    foreach(name ${ARGN})
        unset(found)
        find_program(found ${name} NO_CACHE)
        if(NOT found)
            continue()
        endif()
        execute_process(COMMAND ${found} -x c++ -std=c++23 -fsyntax-only ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/cxx23.cpp
            RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
        if(status EQUAL 0)
            set(${out} ${found} PARENT_SCOPE)
            return()
        endif()
    endforeach()
endfunction()
