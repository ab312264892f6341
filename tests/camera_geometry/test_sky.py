from __future__ import annotations

import datetime
import math

import pytest

from lpnet_rt.camera_geometry.sky import body_direction, place_direction

PLACES = ((48.0, 11.5, 500.0), (-33.9, 151.2, 20.0), (69.6, 18.9, 10.0))
TIMES = [datetime.datetime(2024, month, 9, 3 * month % 24, 17, tzinfo=datetime.UTC) for month in (1, 4, 7, 9, 12)]
# J2000 positions and proper motion per year, from the Hipparcos catalogue (ESA, 1997).
STARS = {
    "Sirius": (101.28715533, -16.71611586, -546.01, -1223.08),
    "Vega": (279.23473479, 38.78368896, 201.02, 287.46),
    "Arcturus": (213.91530029, 19.18240916, -1093.45, -1999.40),
    "Canopus": (95.98795782, -52.69566045, 19.99, 23.67),
}


def reference(name: str, time: datetime.datetime, place: tuple[float, float, float]) -> tuple[float, float]:
    """Azimuth and elevation without refraction, by astropy."""
    units = pytest.importorskip("astropy.units")
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_sun
    from astropy.time import Time
    from astropy.utils import iers

    moment = Time(time.replace(tzinfo=None), scale="utc")
    latitude, longitude, height = place
    where = EarthLocation(lat=latitude * units.deg, lon=longitude * units.deg, height=height * units.m)
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        if name == "Sun":
            body = get_sun(moment)
        else:
            ra, dec, ra_motion, dec_motion = STARS[name]
            years = (moment.jyear - 2000.0) / 3_600_000.0  # milliarcseconds to degrees
            ra += ra_motion * years / math.cos(math.radians(dec))
            body = SkyCoord((ra) * units.deg, (dec + dec_motion * years) * units.deg)
        seen = body.transform_to(AltAz(obstime=moment, location=where))
    return float(seen.az.deg), float(seen.alt.deg)


@pytest.mark.filterwarnings("ignore")  # astropy warns of predicted times
@pytest.mark.parametrize("name", ["Sun", *STARS])
def test_bodies_are_within_a_hundredth_of_a_degree(name: str) -> None:
    compared = 0
    for place in PLACES:
        for time in TIMES:
            azimuth, elevation = reference(name, time, place)
            if elevation < 10:
                continue
            found_azimuth, found_elevation = body_direction(name, time, place, "here")
            # Refraction (Saemundsson, 1986), for the pressure and the temperature at the place.
            pressure = (1 - 2.25577e-5 * place[2]) ** 5.25588
            lifted = 1.02 / math.tan(math.radians(elevation + 10.3 / (elevation + 5.11))) / 60 * pressure * 283 / 288
            assert found_elevation == pytest.approx(elevation + lifted, abs=0.01)
            off = (found_azimuth - azimuth + 180) % 360 - 180
            assert off * math.cos(math.radians(elevation)) == pytest.approx(0, abs=0.01)
            compared += 1
    assert compared >= 3


@pytest.mark.parametrize(
    ("there", "azimuth", "elevation"),
    [
        ((48.0, 11.5, 600.0), None, 90.0),
        ((48.1, 11.5, 500.0), 0.0, -0.05),  # the ground falls away by half the angle at the Earth's centre
        ((48.0, 11.6, 500.0), 89.963, -0.0335),
        ((47.9, 11.5, 500.0), 180.0, -0.05),
    ],
)
def test_places(there: tuple[float, float, float], azimuth: float | None, elevation: float) -> None:
    found_azimuth, found_elevation = place_direction(there, PLACES[0], "here")
    assert found_elevation == pytest.approx(elevation, abs=1e-3)
    if azimuth is not None:
        assert (found_azimuth - azimuth + 180) % 360 - 180 == pytest.approx(0, abs=1e-3)
