// All is declared: the page may be made what it is with a script.
"use strict";

begin();
