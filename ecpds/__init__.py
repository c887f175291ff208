"""ecpds: a data portal. One namespace behind many doors, a Master that keeps the catalogue, movers that hold the bytes."""
