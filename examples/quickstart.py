"""The shortest use of the client: ask a served Toolcrib which tool fits."""

from toolcrib_clients import Toolcrib

with Toolcrib() as crib:
    for hit in crib.search("convert a time between zones", k=3).hits:
        print(hit.name, hit.score, hit.signals)
