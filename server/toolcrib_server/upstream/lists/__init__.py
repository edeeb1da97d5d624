"""What a server lists: read to the last page, sifted, and known again by its digest."""
