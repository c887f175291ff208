"""Tells twistd that there is an `ecpds`."""

from twisted.application.service import ServiceMaker

ecpds = ServiceMaker("ecpds", "ecpds.tap", "A data portal: FTP, HTTPS and more doors on one namespace.", "ecpds")
