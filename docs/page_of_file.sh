#!/bin/sh
# page_of_file.sh HEADER: the header, with the comment at its top made the page of the file (Doxygen's input filter). Lines
# stay where they are.
exec sed -e '1s,^// \{0\,1\},//! @page_of_file ,' -e '1s,^/\* ,/** @page_of_file ,' -e '2,/^[^/]/s,^// \{0\,1\},//! ,' "$1"
